"""Sentences for reasons: why a message was not kept, and why records are missing."""

from lakebed.web.words import mark as _

WHY = {
    "skipped": _("no policy keeps this topic"),
    "unique": _("equal to the one before"),
    "max_rate": _("too soon after the one before"),
    "deny": _("among the values that the policy leaves out"),
    "allow": _("not among the values that the policy keeps"),
    "max": _("above the greatest value that the policy keeps"),
    "min": _("below the least value that the policy keeps"),
    "late": _("too late: its window was closed"),
    "inactive": _("the policy was not active at that time"),
    "out_of_range_time": _("its time is too old or too far ahead"),
    "bad_time": _("its time cannot be read"),
    "out_of_range": _("the number is too large to be kept"),
    "not_finite": _("the number is not finite"),
    "not_a_number": _("it is no number"),
    "not_text": _("it is no text"),
    "missing_path": _("the field that the policy reads is not there"),
    "not_json": _("it is no JSON"),
    "too_deep": _("its JSON is nested too deeply"),
    "max_size": _("larger than the policy allows"),
    "not_an_integer": _("it is no whole number"),
    "not_a_boolean": _("it is neither true nor false"),
    "too_many": _("more elements than are taken apart"),
    "dead_letter": _("the policy failed on it, and it was put aside"),
    "over_quota": _("over a limit: it is parked"),
    "duplicates": _("sent before: it is kept once"),
    "lost": _("lost before it was read"),
}
"""Sentences by reason; one that is not here is shown by its name."""

REFUSED = {
    "bad_request": _("the request is wrong"),
    "invalid": _("what was sent is wrong"),
    "line_rejected": _("lines of a batch are wrong"),
    "malformed_packet": _("the packet is malformed"),
    "not_authenticated": _("the sender did not sign in"),
    "not_authorized": _("the sender may not publish there"),
    "packet_too_large": _("the packet is too large"),
    "payload_format_invalid": _("the payload has another format than it says"),
    "payload_too_large": _("the payload is too large"),
    "quota_exceeded": _("over a limit"),
    "topic_name_invalid": _("the topic is no valid one"),
}
"""Why a message was refused at the door, by the reason of MQTT 5 or of the same name."""

GAPS = {
    "over_quota": _("messages over a limit are parked"),
    "dropped": _("messages over a limit were dropped"),
    "expired": _("parked messages expired"),
}
