// Sends what the tests of clients ask for, by mqtt.js: URL, TOKEN, VERSION; then TOPIC PAYLOAD pairs.
import mqtt from "mqtt";

const [url, token, version, ...messages] = process.argv.slice(2);
const client = await mqtt.connectAsync(url, {
  username: "mqtt.js",
  password: token,
  protocolVersion: Number(version),
  protocolId: version === "3" ? "MQIsdp" : "MQTT",
  connectTimeout: 20_000,
  reconnectPeriod: 0,
});
for (let i = 0; i < messages.length; i += 2) {
  try {
    await client.publishAsync(messages[i], messages[i + 1], { qos: 1 });
    console.log("acknowledged");
  } catch (error) {
    console.log(`refused ${error.code}`);
  }
}
await client.endAsync();
