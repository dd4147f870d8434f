package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.etcd.io/bbolt"
)

var (
	handled   = []byte("handled")    // number -> what was handled: our effect
	ids       = []byte("ids")        // id -> nothing: what was handled
	aside     = []byte("aside")      // topic, partition, offset -> what was set aside, and why
	asideKeys = []byte("aside_keys") // topic, key -> nothing: whose order waits
)

// store survives a restart: the effects, the ids of what was handled, and what was set aside.
type store struct{ db *bbolt.DB }

type entry struct {
	ID      string          `json:"id"`
	Topic   string          `json:"topic"`
	Key     string          `json:"key"`
	Version int             `json:"version"`
	Type    string          `json:"type"`
	Replay  string          `json:"replay,omitempty"`
	Event   json.RawMessage `json:"event"`
}

type setAside struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Key       string `json:"key"`
	Reason    string `json:"aside"`
	Value     []byte `json:"value"`
}

func openStore(path string) (*store, error) {
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		return nil, err
	}
	return &store{db}, db.Update(func(tx *bbolt.Tx) error {
		for _, bucket := range [][]byte{handled, ids, aside, asideKeys} {
			if _, err := tx.CreateBucketIfNotExists(bucket); err != nil {
				return err
			}
		}
		return nil
	})
}

// take handles a record once, or sets it aside for what is bad with it, in one transaction; it says what was done.
func (s *store) take(
	record *kgo.Record, headers map[string]string, event json.RawMessage, bad error,
) (done string, err error) {
	doneAs := headers["ce_id"]
	if headers["ce_replayreprocess"] == "true" { // somebody asked for it to be handled again, once
		doneAs += ":" + headers["ce_replayid"]
	}
	key := []byte(record.Topic + "\x00" + string(record.Key))
	err = s.db.Update(func(tx *bbolt.Tx) error {
		if bad == nil && tx.Bucket(ids).Get([]byte(doneAs)) != nil {
			done = "repeat"
			return nil
		}
		if bad == nil && tx.Bucket(asideKeys).Get(key) != nil {
			bad = fmt.Errorf("behind one of its key that was set aside") // or the key's order would be lost
		}
		if bad != nil {
			done = fmt.Sprintf("aside (%v)", bad)
			return keepAside(tx, key, record, bad)
		}
		done = "handled"
		if headers["ce_replayid"] != "" {
			done = "replay"
		}
		if doneAs != headers["ce_id"] {
			done = "handled again"
		}
		if err := effect(tx, record, headers, doneAs, event); err != nil {
			return err
		}
		return tx.Bucket(ids).Put([]byte(doneAs), []byte{})
	})
	return done, err
}

// effect is YOURS, in the transaction that notes the id. Ours is to keep the event. Do not mail anybody for a replay:
// ce_replayid is its id, and ce_replayeffects says whether the operator wants that all the same.
func effect(tx *bbolt.Tx, record *kgo.Record, headers map[string]string, id string, event json.RawMessage) error {
	version, err := strconv.Atoi(headers["ce_sequence"])
	if err != nil {
		return err
	}
	kept, err := json.Marshal(entry{
		id, record.Topic, string(record.Key), version, headers["ce_type"], headers["ce_replayid"], event,
	})
	if err != nil {
		return err
	}
	bucket := tx.Bucket(handled)
	number, err := bucket.NextSequence()
	if err != nil {
		return err
	}
	return bucket.Put(binary.BigEndian.AppendUint64(nil, number), kept)
}

func keepAside(tx *bbolt.Tx, key []byte, record *kgo.Record, bad error) error {
	kept, err := json.Marshal(setAside{
		record.Topic, record.Partition, record.Offset, string(record.Key), bad.Error(), record.Value,
	})
	if err != nil {
		return err
	}
	place := fmt.Sprintf("%s/%06d/%020d", record.Topic, record.Partition, record.Offset)
	if err := tx.Bucket(asideKeys).Put(key, []byte{}); err != nil {
		return err
	}
	return tx.Bucket(aside).Put([]byte(place), kept)
}

// show prints what was handled, in that order, then what was set aside.
func (s *store) show(out io.Writer) error {
	return s.db.View(func(tx *bbolt.Tx) error {
		for _, bucket := range [][]byte{handled, aside} {
			err := tx.Bucket(bucket).ForEach(func(_, kept []byte) error {
				_, err := fmt.Fprintf(out, "%s\n", kept)
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// release forgets what was set aside: ask the owner to replay it to your group, and it is handled then.
func (s *store) release() error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		for _, bucket := range [][]byte{aside, asideKeys} {
			if err := tx.DeleteBucket(bucket); err != nil {
				return err
			}
			if _, err := tx.CreateBucket(bucket); err != nil {
				return err
			}
		}
		return nil
	})
}
