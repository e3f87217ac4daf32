// A broker that asks by HTTP who its clients are and what they may, as EMQX 5.8 does: the rules of
// the sign-in first, then the other service, and what nobody allows is denied. Its REST interface
// ends connections.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/rs/zerolog"
)

type rule struct{ Permission, Action, Topic string }

type answer struct {
	Result      string            `json:"result"`
	IsSuperuser bool              `json:"is_superuser"`
	ExpireAt    int64             `json:"expire_at"`
	ClientAttrs map[string]string `json:"client_attrs"`
	ACL         []rule            `json:"acl"`
}

type hook struct {
	mqtt.HookBase
	lake, secret string
	signedIn     sync.Map // client id -> answer
}

func (h *hook) ID() string { return "asking" }

func (h *hook) Provides(b byte) bool {
	return bytes.Contains([]byte{mqtt.OnConnectAuthenticate, mqtt.OnACLCheck}, []byte{b})
}

func (h *hook) ask(path string, fields map[string]string) (found answer) {
	body, _ := json.Marshal(fields)
	request, _ := http.NewRequest("POST", h.lake+path, bytes.NewReader(body))
	request.Header.Set("content-type", "application/json")
	request.Header.Set("authorization", "Bearer "+h.secret)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{Result: "ignore"}
	}
	defer response.Body.Close()
	if response.StatusCode != 200 || json.NewDecoder(response.Body).Decode(&found) != nil {
		return answer{Result: "ignore"}
	}
	return found
}

func (h *hook) OnConnectAuthenticate(cl *mqtt.Client, pk packets.Packet) bool {
	found := h.ask("/api/v1/auth/emqx/authn", map[string]string{
		"clientid": cl.ID,
		"username": string(pk.Connect.Username),
		"password": string(pk.Connect.Password),
	})
	if found.Result != "allow" {
		return false
	}
	h.signedIn.Store(cl.ID, found)
	if found.ExpireAt > 0 {
		time.AfterFunc(time.Until(time.Unix(found.ExpireAt, 0)), func() { cl.Stop(packets.ErrNotAuthorized) })
	}
	return true
}

func (h *hook) OnACLCheck(cl *mqtt.Client, topic string, write bool) bool {
	known, _ := h.signedIn.Load(cl.ID)
	found, _ := known.(answer)
	if found.IsSuperuser {
		return true
	}
	action := map[bool]string{true: "publish", false: "subscribe"}[write]
	for _, one := range found.ACL {
		if (one.Action == action || one.Action == "all") && matches(topic, one.Topic) {
			return one.Permission == "allow"
		}
	}
	return h.ask("/api/v1/auth/emqx/authz", map[string]string{
		"clientid":  cl.ID,
		"username":  string(cl.Properties.Username),
		"principal": found.ClientAttrs["principal"],
		"topic":     topic,
		"action":    action,
	}).Result == "allow"
}

// Word by word, in which "+" of a rule matches "#" of a subscription, too.
func matches(topic, filter string) bool {
	if literal := strings.TrimPrefix(filter, "eq "); literal != filter {
		return literal == topic
	}
	words, rule := strings.Split(topic, "/"), strings.Split(filter, "/")
	for i, word := range rule {
		if word == "#" {
			return true
		}
		if i >= len(words) || (word != "+" && word != words[i]) {
			return false
		}
	}
	return len(words) == len(rule)
}

func main() {
	listen := flag.String("listen", "", "address of MQTT")
	rest := flag.String("rest", "", "address of the REST interface")
	lake := flag.String("lake", "", "URL of the instance that is asked")
	secret := flag.String("secret", "", "what it is asked with")
	flag.Parse()
	quiet := zerolog.Nop()
	server := mqtt.New(&mqtt.Options{Logger: &quiet})
	if err := server.AddHook(&hook{lake: *lake, secret: *secret}, nil); err != nil {
		panic(err)
	}
	if err := server.AddListener(listeners.NewTCP("mqtt", *listen, nil)); err != nil {
		panic(err)
	}
	if err := server.Serve(); err != nil {
		panic(err)
	}
	http.HandleFunc("/api/v5/clients/", func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimPrefix(r.URL.EscapedPath(), "/api/v5/clients/")
		id, _ := url.PathUnescape(strings.TrimSuffix(path, "/authorization/cache"))
		cl, ok := server.Clients.Get(id)
		if key, _, basic := r.BasicAuth(); r.Method != "DELETE" || !basic || key != "key" {
			w.WriteHeader(401)
		} else if !ok {
			w.WriteHeader(404)
		} else {
			if !strings.HasSuffix(path, "/authorization/cache") {
				_ = server.DisconnectClient(cl, packets.ErrAdministrativeAction)
			}
			w.WriteHeader(204)
		}
	})
	panic(http.ListenAndServe(*rest, nil))
}
