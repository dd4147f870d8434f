// The group and the registry, as the environment says.

import { readFileSync } from "node:fs";
import https from "node:https";

import kafkaRegistry from "@kafkajs/confluent-schema-registry";
import avro from "avsc";
import kafkajs from "kafkajs";
import lz4 from "lz4-napi";

const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = kafkajs;
const { SchemaRegistry, SchemaType } = kafkaRegistry;

// Waybill's records are packed with LZ4, which kafkajs does not bring.
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: ({ buffer }) => lz4.compressFrame(buffer),
  decompress: (packed) => lz4.decompressFrame(packed),
});

// An Avro long is beyond what a number holds without loss; amounts are longs.
const LONG = avro.types.LongType.__with({
  fromBuffer: (bytes) => bytes.readBigInt64LE(),
  toBuffer: (value) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(value);
    return bytes;
  },
  fromJSON: BigInt,
  toJSON: String,
  isValid: (value) => typeof value === "bigint",
  compare: (one, other) => (one < other ? -1 : one > other ? 1 : 0),
});

/** TLS as <prefix>_CA_FILE, <prefix>_CERTIFICATE_FILE and <prefix>_KEY_FILE say, where they are set. */
function tls(prefix) {
  const file = (name) => process.env[`${prefix}_${name}_FILE`] && readFileSync(process.env[`${prefix}_${name}_FILE`]);
  const cert = file("CERTIFICATE");
  return { ca: file("CA") || undefined, cert: cert || undefined, key: file("KEY") || cert || undefined };
}

export function joinGroup(groupId) {
  const { KAFKA_BOOTSTRAP, KAFKA_SECURITY_PROTOCOL = "PLAINTEXT", KAFKA_SASL_MECHANISM = "PLAIN" } = process.env;
  const kafka = new Kafka({
    clientId: groupId,
    brokers: KAFKA_BOOTSTRAP.split(","),
    ssl: KAFKA_SECURITY_PROTOCOL.endsWith("SSL") ? tls("KAFKA") : undefined,
    sasl: KAFKA_SECURITY_PROTOCOL.startsWith("SASL_")
      ? {
          mechanism: KAFKA_SASL_MECHANISM.toLowerCase(),
          username: process.env.KAFKA_SASL_USERNAME,
          password: process.env.KAFKA_SASL_PASSWORD,
        }
      : undefined,
    logLevel: logLevel.ERROR,
    logCreator: () => ({ log }) => console.log("waits", log.message, log.error ?? ""),
  });
  return kafka.consumer({ groupId, sessionTimeout: 10_000, maxWaitTimeInMs: 500 });
}

export function openRegistry() {
  const { REGISTRY_URL, REGISTRY_USER, REGISTRY_PASSWORD, REGISTRY_TOKEN } = process.env;
  let authorization;
  if (REGISTRY_USER) {
    authorization = `Basic ${Buffer.from(`${REGISTRY_USER}:${REGISTRY_PASSWORD}`).toString("base64")}`;
  }
  if (REGISTRY_TOKEN) authorization = `Bearer ${REGISTRY_TOKEN}`;
  const showWhoAsks = () => ({
    request: async (request) => (authorization ? request.enhance({ headers: { authorization } }) : request),
  });
  const registry = new SchemaRegistry(
    {
      host: REGISTRY_URL,
      agent: REGISTRY_URL.startsWith("https:") ? new https.Agent({ ...tls("REGISTRY"), keepAlive: true }) : undefined,
      retry: { retries: 0 }, // we wait ourselves
      middlewares: [showWhoAsks],
    },
    { [SchemaType.AVRO]: { typeHook: (schema) => (schema === "long" ? LONG : undefined) } },
  );
  return {
    decode: (value) => registry.decode(value),
    getSchema: async (id) => {
      try {
        return await registry.getSchema(id);
      } catch (error) {
        // Not there: is it the schema, or is this no registry at all?
        if (error.status === 404) error.unknownSchema = (await registry.api.Subject.all()).status() === 200;
        throw error;
      }
    },
  };
}
