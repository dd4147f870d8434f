package contract

import (
	"crypto/sha256"
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5"
)

const (
	tryKey  = `SELECT pg_try_advisory_xact_lock(hashtextextended('idempotency ' || $1 || ' ' || $2, 0))`
	findKey = `SELECT fingerprint, answer FROM kept_answer WHERE path = $1 AND key = $2`
	keepKey = `INSERT INTO kept_answer (path, key, fingerprint, answer) VALUES ($1, $2, $3, $4)`
)

// once keeps the answer to an Idempotency-Key in the transaction of what was done, and gives it again.
func (c *call) once(body []byte, act func() (answer, error)) (answer, error) {
	path, key, fingerprint := c.r.URL.Path, c.r.Header.Get("Idempotency-Key"), sha256.Sum256(body)
	if key == "" {
		return act()
	}
	var free bool
	if err := c.tx.QueryRow(c, tryKey, path, key).Scan(&free); err != nil {
		return answer{}, err
	}
	if !free {
		detail := "the first request with this key still runs"
		return answer{}, problem{409, "idempotency_key_in_use", detail, nil, headers{"Retry-After": "1"}}
	}
	var known []byte
	var kept struct {
		answer
		Body json.RawMessage // as it is: numbers of any size
	}
	err := c.tx.QueryRow(c, findKey, path, key).Scan(&known, &kept)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		made, err := act()
		if err == nil {
			_, err = c.tx.Exec(c, keepKey, path, key, fingerprint[:], made)
		}
		return made, err
	case err == nil && string(known) != string(fingerprint[:]):
		return answer{}, problem{Status: 422, Code: "idempotency_key_reused", Detail: "this key was used with another body"}
	case err == nil:
		kept.Headers["Idempotent-Replayed"] = "true"
	}
	return answer{kept.Status, kept.Body, kept.Headers}, err
}
