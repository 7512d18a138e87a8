// Plays a hub of Azure Event Hubs with rhea, a library of AMQP 1.0: event_hub.js PORT FOLDER KEY [TLS_PORT CERTIFICATE KEY].
// The events of partition N are the lines of FOLDER/N; its offsets are 40 apart.
const crypto = require("crypto");
const fs = require("fs");
const path = require("path");
const rhea = require("rhea");

const [port, folder, key, tlsPort, certificate, tlsKey] = process.argv.slice(2);
const SELECTOR = "apache.org:selector-filter:string";
const { types } = rhea;
const readers = new Set();

rhea.sasl_server_mechanisms.enable_anonymous();

const partitions = () => fs.readdirSync(folder).sort();
const events = (partition) =>
  fs.readFileSync(path.join(folder, partition), "utf8").split("\n").slice(0, -1);

function isSigned(token, resource) {
  const parts = new URLSearchParams(token.replace("SharedAccessSignature ", ""));
  const signed = `${encodeURIComponent(parts.get("sr"))}\n${parts.get("se")}`;
  const signature = crypto.createHmac("sha256", key).update(signed).digest("base64");
  const now = Date.now() / 1000;
  return parts.get("sig") === signature && parts.get("sr") === resource && parts.get("se") > now;
}

function answer(connection, request) {
  const { operation, name, type, partition } = request.application_properties;
  if (operation === "put-token") {
    connection.isIn = isSigned(request.body, name);
    // As the service does, which repeats what it was given.
    return connection.isIn ? [202, "Accepted"] : [401, `InvalidSignature: ${request.body}`];
  }
  if (!connection.isIn) return [401, "no token"];
  if (operation !== "READ" || name !== "orders") return [404, "The messaging entity is not found"];
  if (type === "com.microsoft:eventhub") {
    return [200, "OK", { name, partition_ids: types.wrap_array(partitions(), 0xa1) }];
  }
  const count = events(partition).length;
  const last = types.wrap_long(count - 1);
  const body = {
    partition,
    is_partition_empty: count === 0,
    last_enqueued_sequence_number: last,
    last_enqueued_offset: String(count * 40),
  };
  return [200, "OK", body];
}

function pump(reader) {
  const all = events(reader.partition);
  while (reader.next < all.length && reader.sender.sendable()) {
    const number = reader.next++;
    const line = all[number];
    const large = line.startsWith("large") ? "x".repeat(Number(line.split(" ")[1])) : line;
    reader.sender.send({
      message_id: `m${number}`,
      message_annotations: {
        "x-opt-sequence-number": types.wrap_long(number),
        "x-opt-offset": String((number + 1) * 40),
        "x-opt-enqueued-time": types.wrap_timestamp(1700000000000 + number),
        "x-opt-partition-key": "customer",
      },
      body: rhea.message.data_section(Buffer.from(large)),
    });
  }
}

rhea.on("sender_open", ({ sender, connection }) => {
  const { address, filter } = sender.source;
  sender.set_source(sender.source);
  sender.set_target(sender.target);
  if (address.startsWith("$")) {
    // Clients name either the link or its address as the place for answers.
    const names = { [sender.name]: sender, [sender.target.address]: sender };
    connection.replies = { ...connection.replies, ...names };
    return;
  }
  const partition = address.replace("orders/ConsumerGroups/$Default/Partitions/", "");
  if (!connection.isIn || !partitions().includes(partition)) {
    sender.close({ condition: "amqp:unauthorized-access", description: "Listen claims are missing" });
    return;
  }
  const selector = filter[SELECTOR].value ?? filter[SELECTOR];
  const offset = Number(/^amqp\.annotation\.x-opt-offset > '(-?\d+)'$/.exec(selector)[1]);
  if (offset > events(partition).length * 40) {
    sender.close({ condition: "com.microsoft:argument-error", description: "The supplied offset is invalid" });
    return;
  }
  readers.add({ sender, partition, next: Math.max(0, offset / 40) });
});
rhea.on("receiver_open", ({ receiver }) => {
  receiver.set_source(receiver.source);
  receiver.set_target(receiver.target);
});
rhea.on("message", ({ message, connection }) => {
  const [code, description, body] = answer(connection, message);
  connection.replies[message.reply_to].send({
    correlation_id: message.message_id,
    application_properties: { "status-code": types.wrap_int(code), "status-description": description },
    body: body ?? "",
  });
});
const forget = ({ connection }) => {
  for (const reader of readers) if (reader.sender.connection === connection) readers.delete(reader);
};
rhea.on("connection_close", forget);
rhea.on("disconnected", forget);
rhea.on("error", () => {});

setInterval(() => {
  for (const reader of readers) {
    try {
      pump(reader);
    } catch {
      readers.delete(reader);
    }
  }
}, 20);

rhea.listen({ port: Number(port), host: "127.0.0.1" });
if (tlsPort) {
  const tls = { transport: "tls", cert: fs.readFileSync(certificate), key: fs.readFileSync(tlsKey) };
  rhea.listen({ port: Number(tlsPort), host: "127.0.0.1", ...tls });
}
