// Reads AsyncAPI documents with the official parser, Avro payloads included, and prints what it finds, a line each.
// Exit code 1 where one is refused.
import { readFileSync } from "node:fs";
import { AvroSchemaParser } from "@asyncapi/avro-schema-parser";
import { Parser } from "@asyncapi/parser";

// There is a 3.1.0; tools that read 3.0.0 are still the more.
const PASSED_OVER = new Set(["asyncapi-latest-version"]);
const parser = new Parser();
parser.registerSchemaParser(AvroSchemaParser());
for (const file of process.argv.slice(2)) {
  const { document, diagnostics } = await parser.parse(readFileSync(file, "utf8"));
  const found = diagnostics.filter((one) => !PASSED_OVER.has(one.code));
  for (const one of found) console.log(`${file}: ${one.path.join(".")}: ${one.message}`);
  const { version, read } = { version: document?.version(), read: document?.allMessages().length };
  console.log(`${file}: ${document ? `AsyncAPI ${version}, ${read} messages` : "refused"}`);
  if (!document || found.length) process.exitCode = 1;
}
