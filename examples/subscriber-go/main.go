// A subscriber of Waybill's topics. Copy it, and put your effect where store.go says so.
//
// Each record goes through one transaction of a store of our own: is it new, the effect, "this id is done". Offsets
// follow the transaction, so a crash in between brings the record again, and the store knows its id. The other way
// round, a crash would lose the effect for good.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
)

const (
	retry         = time.Second
	unknownSchema = 40403 // the Confluent API's code; any other 404 is a wrong URL
)

// An environment that does not answer: wait. Any other error of read is the record's own, and sets it aside.
var errAway = errors.New("registry")

func main() {
	log.SetFlags(0)
	for _, name := range []string{"KAFKA_BOOTSTRAP", "GROUP", "REGISTRY_URL"} {
		if os.Getenv(name) == "" {
			log.Fatalf("not set: %s", name)
		}
	}
	verb := "run"
	if len(os.Args) > 1 {
		verb = os.Args[1]
	}
	store, err := openStore(env("STORE", "subscriber.db"))
	check(err)
	defer store.db.Close()
	switch verb {
	case "run":
		stop, done := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		defer done()
		check(run(stop, store))
		fmt.Println("stopped")
	case "show":
		check(store.show(os.Stdout))
	case "release":
		check(store.release())
	default:
		log.Fatal("subscriber [run|show|release]")
	}
}

// run handles records until told to stop. A partition's records come one after the other: a key keeps its order.
func run(stop context.Context, store *store) error {
	options, err := consumerOptions()
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()
	registry, err := registryClient()
	if err != nil {
		return err
	}
	reader := reader{registry: registry, schemas: map[int]*avro.Schema{}}
	group := os.Getenv("GROUP")
	for stop.Err() == nil {
		fetches := client.PollRecords(stop, 500)
		fetches.EachError(func(topic string, partition int32, err error) {
			if !errors.Is(err, context.Canceled) {
				fmt.Printf("waits %s/%d: %v\n", topic, partition, err)
			}
		})
		for _, record := range fetches.Records() {
			if err := handle(stop, store, &reader, group, record); err != nil {
				return err
			}
			if stop.Err() != nil {
				break
			}
			client.MarkCommitRecords(record)
		}
		client.AllowRebalance() // not in the middle of what was polled
	}
	last, enough := context.WithTimeout(context.Background(), 5*time.Second)
	defer enough()
	if err := client.CommitMarkedOffsets(last); err != nil {
		fmt.Println("waits", err) // they come again, and the store knows them
	}
	return nil
}

// handle returns once the record is dealt with, or when told to stop; an error is the store's.
func handle(stop context.Context, store *store, reader *reader, group string, record *kgo.Record) error {
	headers := map[string]string{}
	for _, header := range record.Headers {
		headers[header.Key] = string(header.Value)
	}
	done := "for another group"
	if target, meant := headers["ce_replaytarget"]; !meant || target == group {
		event, bad := reader.read(stop, record.Value, headers)
		for errors.Is(bad, errAway) {
			fmt.Println("waits", bad)
			select {
			case <-stop.Done():
				return nil
			case <-time.After(retry):
			}
			event, bad = reader.read(stop, record.Value, headers)
		}
		var err error
		if done, err = store.take(record, headers, event, bad); err != nil {
			return err
		}
	}
	fmt.Printf("%s %s/%d/%d %s version %s\n",
		done, record.Topic, record.Partition, record.Offset, headers["ce_type"], headers["ce_sequence"])
	return nil
}

type reader struct {
	registry *sr.Client
	schemas  map[int]*avro.Schema
}

// read decodes a value by the schema that its id names; an error is errAway, or the record's own.
func (r *reader) read(stop context.Context, value []byte, headers map[string]string) (json.RawMessage, error) {
	if value == nil {
		return nil, errors.New("no value: a tombstone")
	}
	id, payload, err := new(sr.ConfluentHeader).DecodeID(value)
	if err != nil {
		return nil, errors.New("no Confluent frame")
	}
	for _, name := range []string{"ce_id", "ce_type", "ce_sequence"} {
		if headers[name] == "" {
			return nil, fmt.Errorf("no header %s", name)
		}
	}
	if _, err := strconv.Atoi(headers["ce_sequence"]); err != nil {
		return nil, errors.New("header ce_sequence is no number")
	}
	schema, err := r.schema(stop, id)
	if err != nil {
		return nil, err
	}
	var event any
	rest, err := schema.Decode(payload, &event)
	if err != nil {
		return nil, fmt.Errorf("not what its schema says: %w", err)
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("not what its schema says: %d bytes are left over", len(rest))
	}
	return json.Marshal(event)
}

func (r *reader) schema(stop context.Context, id int) (*avro.Schema, error) {
	if schema, known := r.schemas[id]; known {
		return schema, nil
	}
	found, err := r.registry.SchemaByID(stop, id)
	var answer *sr.ResponseError
	if errors.As(err, &answer) && answer.ErrorCode == unknownSchema {
		return nil, fmt.Errorf("schema id %d is not in the registry", id)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errAway, err)
	}
	schema, err := avro.Parse(found.Schema)
	if err != nil {
		return nil, fmt.Errorf("schema id %d: %w", id, err)
	}
	r.schemas[id] = schema
	return schema, nil
}

func topics() []string {
	return strings.Split(env("TOPICS", "order.events.v1,inventory.events.v1,inventory.products.v1,"+
		"payment.events.v1,notification.events.v1"), ",")
}

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
