// Sends what the tests of clients ask for, by the clients of Eclipse Paho for Go:
// paho|autopaho URL TOKEN, then TOPIC PAYLOAD pairs.
package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/eclipse/paho.mqtt.golang"
)

const patience = 30 * time.Second

func main() {
	client, address, token, messages := os.Args[1], os.Args[2], os.Args[3], os.Args[4:]
	if client == "paho" {
		old(address, token, messages)
	} else {
		five(address, token, messages)
	}
}

func check(err error) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

// MQTT 3.1.1; where that is refused, it tries 3.1.
func old(address, token string, messages []string) {
	options := mqtt.NewClientOptions().AddBroker(address).SetClientID("paho-go")
	options.SetUsername("paho").SetPassword(token).SetAutoReconnect(false).SetCleanSession(false)
	client := mqtt.NewClient(options)
	connecting := client.Connect()
	connecting.WaitTimeout(patience)
	check(connecting.Error())
	for i := 0; i < len(messages); i += 2 {
		sent := client.Publish(messages[i], 1, false, messages[i+1])
		if !sent.WaitTimeout(patience) {
			check(fmt.Errorf("no acknowledgement"))
		}
		check(sent.Error())
		fmt.Println("acknowledged")
	}
	client.Disconnect(250)
}

// MQTT 5.
func five(address, token string, messages []string) {
	server, err := url.Parse(address)
	check(err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	manager, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{
		ServerUrls:            []*url.URL{server},
		KeepAlive:             20,
		SessionExpiryInterval: 60,
		ConnectUsername:       "autopaho",
		ConnectPassword:       []byte(token),
		OnConnectError:        func(err error) { check(err) },
		ClientConfig:          paho.ClientConfig{ClientID: "autopaho"},
	})
	check(err)
	check(manager.AwaitConnection(ctx))
	for i := 0; i < len(messages); i += 2 {
		answer, err := manager.Publish(ctx, &paho.Publish{
			QoS: 1, Topic: messages[i], Payload: []byte(messages[i+1]),
		})
		if answer != nil && answer.ReasonCode >= 0x80 {
			fmt.Println("refused", answer.ReasonCode)
			continue
		}
		check(err)
		fmt.Println("acknowledged")
	}
	check(manager.Disconnect(ctx))
}
