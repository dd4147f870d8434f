package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/avro"

	"reviews/contract"
)

const topic, aggregate = "reviews.events.v1", "review"

//go:embed schemas/reviews.events.v1/*.avsc
var schemas embed.FS

// An event is one version of one schema file. A new version of it is a new file, and its number here.
type event struct {
	name    string
	version int
	schema  *avro.Schema
}

var events = map[contract.Change]event{
	contract.Created: newEvent("ReviewWritten", 1),
	contract.Changed: newEvent("ReviewRevised", 1),
	contract.Deleted: newEvent("ReviewWithdrawn", 1),
}

func newEvent(name string, version int) event {
	text, err := schemas.ReadFile(fmt.Sprintf("schemas/%s/%s.v%d.avsc", topic, name, version))
	check(err)
	return event{name, version, avro.MustParse(string(text))}
}

// All who append take this lock and hold it until they commit, so that positions rise with versions.
const lockAggregates = `
SELECT pg_advisory_xact_lock(hashtextextended($1 || ' ' || key, 0)) FROM unnest($2::text[]) AS key`

// A statement of its own, after the lock: it sees what was committed until then. With synchronous_commit off there is
// no row, since a crash could take back what is published already.
const appendEvent = `
INSERT INTO waybill_outbox (event_id, topic, aggregate_type, aggregate_id, aggregate_version,
                            event_type, schema_version, payload, metadata)
SELECT gen_random_uuid(), $1, $2, $3, coalesce(max(aggregate_version), 0) + 1, $4, $5, $6, $7
FROM waybill_outbox WHERE aggregate_type = $2 AND aggregate_id = $3
HAVING current_setting('synchronous_commit') <> 'off'
RETURNING aggregate_version`

type outbox struct{}

func (outbox) Lock(ctx context.Context, tx pgx.Tx, keys []string) error {
	_, err := tx.Exec(ctx, lockAggregates, aggregate, keys)
	return err
}

func (outbox) Append(
	ctx context.Context, tx pgx.Tx, r *http.Request, change contract.Change, review contract.Row,
) (version int32, err error) {
	kind, key := events[change], fmt.Sprint(review["id"])
	payload, err := kind.schema.Encode(map[string]any{
		"review_id": review["id"], "product_id": review["product_id"],
		"stars": review["stars"], "published": review["published"],
	})
	if err != nil {
		return 0, contract.Ours(err)
	}
	metadata, err := json.Marshal(causeOf(r))
	if err != nil {
		return 0, contract.Ours(err)
	}
	err = tx.QueryRow(ctx, appendEvent,
		topic, aggregate, key, "reviews."+kind.name, kind.version, payload, metadata).Scan(&version)
	if errors.Is(err, pgx.ErrNoRows) {
		err = contract.Ours(errors.New("synchronous_commit is off"))
	}
	return version, err
}

// causeOf tells what led to an event: a request id and a trace go with it through all services.
func causeOf(r *http.Request) map[string]string {
	cause := map[string]string{"correlation_id": contract.NewID()}
	for name, header := range map[string]string{
		"correlation_id": "X-Request-ID", "request_id": "X-Request-ID", "traceparent": "Traceparent",
	} {
		if given := r.Header.Get(header); given != "" && len(given) <= 128 {
			cause[name] = given
		}
	}
	return cause
}
