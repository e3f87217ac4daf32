//! `clients VERSION PORT TOKEN TOPIC PAYLOAD …`: publishes at QoS 1, and prints what was said of
//! each, in their order.

use std::collections::HashMap;
use std::env;

fn main() {
    let given: Vec<String> = env::args().skip(1).collect();
    let (port, token) = (given[1].parse().unwrap(), given[2].as_str());
    let messages: Vec<(String, String)> =
        given[3..].chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    for said in match given[0].as_str() {
        "4" => by_version_4(port, token, &messages),
        _ => by_version_5(port, token, &messages),
    } {
        println!("{said}");
    }
}

fn by_version_4(port: u16, token: &str, messages: &[(String, String)]) -> Vec<String> {
    use rumqttc::{Client, Event, Incoming, MqttOptions, Outgoing, QoS};
    let mut options = MqttOptions::new("rumqttc", "127.0.0.1", port);
    options.set_credentials("me", token).set_max_packet_size(1 << 20, 1 << 20);
    let (client, mut connection) = Client::new(options, 100);
    for (topic, payload) in messages {
        client.publish(topic, QoS::AtLeastOnce, false, payload.as_bytes()).unwrap();
    }
    let (mut sent, mut said) = (Vec::new(), HashMap::new());
    for event in connection.iter() {
        match event.unwrap() {
            Event::Outgoing(Outgoing::Publish(number)) => sent.push(number),
            Event::Incoming(Incoming::PubAck(ack)) => {
                said.insert(ack.pkid, "acknowledged".to_string());
            }
            _ => {}
        }
        if said.len() == messages.len() {
            break;
        }
    }
    sent.iter().map(|number| said[number].clone()).collect()
}

/// A refusal is an error to it, after which it connects anew: the test sends none.
fn by_version_5(port: u16, token: &str, messages: &[(String, String)]) -> Vec<String> {
    use rumqttc::v5::mqttbytes::v5::Packet;
    use rumqttc::v5::mqttbytes::QoS;
    use rumqttc::v5::{Client, Event, MqttOptions};
    let mut options = MqttOptions::new("rumqttc", "127.0.0.1", port);
    options.set_credentials("me", token);
    let (client, mut connection) = Client::new(options, 100);
    for (topic, payload) in messages {
        client.publish(topic, QoS::AtLeastOnce, false, payload.clone()).unwrap();
    }
    let mut said = Vec::new();
    for event in connection.iter() {
        if let Event::Incoming(Packet::PubAck(_)) = event.unwrap() {
            said.push("acknowledged".to_string());
        }
        if said.len() == messages.len() {
            break;
        }
    }
    said
}
