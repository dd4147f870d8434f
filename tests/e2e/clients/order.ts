// Place an order, wait for its end, read its history, cancel another one: with nothing but the generated client.
import { Configuration, OrdersApi, ResponseError } from "./client/index.js";

declare const process: { argv: string[] };
const [basePath, accessToken] = process.argv.slice(2);
const orders = new OrdersApi(new Configuration({ basePath, accessToken }));
const place = (paymentMethod: string) =>
  orders.placeOrder({ idempotencyKey: crypto.randomUUID(), orderIn: { lines: [{ sku: "LAMP-01", quantity: 1 }], paymentMethod } });

const placed = await place("tok_ok");
const ended = await orders.readOrder({ orderId: placed.id, prefer: "wait=30" });
const history = await orders.readHistory({ orderId: placed.id });

const slow = await place("tok_slow");
await orders.cancelOrder({ orderId: slow.id, idempotencyKey: crypto.randomUUID() });
const cancelled = await orders.readOrder({ orderId: slow.id, prefer: "wait=30" });

const refused = await orders
  .cancelOrder({ orderId: placed.id, idempotencyKey: crypto.randomUUID() })
  .catch(async (error: ResponseError) => (await error.response.json()).code);
console.log([placed.total, ended.status, history.items.length, cancelled.status, cancelled.cancellationReason, refused].join(" "));
