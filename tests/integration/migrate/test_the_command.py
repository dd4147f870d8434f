"""What `python -m waybill migrate` answers in the webshop, and with which exit code."""

import json

import pytest

from tests.support.moving import MONOLITH, Monolith, filled

SERVICE = """
[aggregates.order.service]
url = "ORDER_DATABASE_URL"
table = "arrived"
key = "order_id"
columns = { status = "status", total = "total", placed_at = "placed_at" }
"""
ARRIVED = """
CREATE TABLE arrived AS SELECT aggregate_id::uuid AS order_id, 'PENDING'::text AS status,
    (total * 100)::bigint AS total, placed_at
    FROM orders_order JOIN waybill_capture_state ON key = orders_order.id::text
"""
ORDERS = 5


@pytest.fixture
def shop(shop: Monolith) -> Monolith:
    filled(shop, ORDERS)
    return shop


def test_the_webshops_own_mapping_knows_each_table_and_column(shop):
    made = shop.migrate("plan", "--json")
    assert (made.returncode, json.loads(made.stdout)) == (
        0,
        {"kind": "plan", "aggregate": "order", "rows": ORDERS, "ok": True},
    )
    shop.execute("ALTER TABLE orders_order ADD gift boolean")
    made = shop.migrate("plan")
    assert (made.returncode, made.stdout.splitlines()[0]) == (
        1,
        "order: orders_order.gift: is in no field; map it, or name it under ignore",
    )
    refused = shop.migrate("capture", "on")
    assert (refused.returncode, "python -m waybill migrate plan" in refused.stderr) == (2, True)


def test_a_server_that_is_away_and_a_file_that_is_missing_have_their_exit_codes(shop):
    assert shop.migrate("status", "--mapping", "nowhere.toml").returncode == 2
    assert shop.migrate("status", DB_PORT="1").returncode == 4
    assert shop.migrate("mend").returncode == 2
    assert shop.migrate("run", "--batch", "1001").returncode == 2


def test_the_whole_way_from_plan_to_verify(shop, tmp_path):
    mapping = tmp_path / "migrate.toml"
    own, found, _ = (MONOLITH / "migrate.toml").read_text().partition("# What the reference services have")
    assert found
    mapping.write_text(own + SERVICE)
    chosen = ("--json", "--mapping", str(mapping), "--aggregate", "order")

    def answered(*verb: str, code: int = 0, **variables: str) -> dict:
        done = shop.migrate(*verb, *chosen, **variables)
        assert done.returncode == code, done
        return json.loads(done.stdout.splitlines()[-1]) if done.stdout else {"said": done.stderr}

    assert answered("backfill", code=2)["said"].endswith("first: capture on\n")
    assert answered("capture", "on")["on"]
    assert answered("backfill")["queued"] == ORDERS
    assert answered("run", "--until-empty")["appended"] == ORDERS
    shop.execute(ARRIVED)
    there = {"ORDER_DATABASE_URL": shop.url}
    assert answered("verify", **there) == {
        "kind": "verify", "aggregate": "order", "compared": ORDERS, "read_again": 0, "differ": 0,
    }  # fmt: skip
    shop.execute("UPDATE arrived SET total = 1 WHERE order_id = (SELECT order_id FROM arrived LIMIT 1)")
    assert answered("verify", "--settle-seconds", "0", code=1, **there)["differ"] == 1
    shop.execute("UPDATE orders_order SET status = 'lost' WHERE id = 1")
    assert answered("run", "--until-empty", code=1)["held"] == 1
    status = answered("status", code=1)
    assert [(one["key"], one["reason"]) for one in status["held_keys"]] == [
        ("1", "status: 'lost' has no entry in the map")
    ]
