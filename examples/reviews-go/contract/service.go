// Package contract serves a table by Waybill's collection contract (docs/reference/collection-contract.md).
package contract

import (
	"context"
	"crypto/subtle"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	mostBytes = 1 << 20
	callTime  = 5 * time.Second
)

// A Service answers for one collection, to whoever has the token.
type Service struct {
	*Collection
	Outbox
	Pool  *pgxpool.Pool
	Token string
}

// An Outbox makes each change an event, in the transaction of the change.
type Outbox interface {
	// Lock keeps others from changing the items of these keys, which are sorted, until the transaction ends.
	Lock(ctx context.Context, tx pgx.Tx, keys []string) error
	// Append returns the event's version, which becomes the row's: one more than the last of its key, be it deleted.
	Append(ctx context.Context, tx pgx.Tx, r *http.Request, change Change, row Row) (version int32, err error)
}

// A Change is what happened to a row.
type Change int

const (
	Created Change = iota
	Changed
	Deleted
)

// ServeHTTP is the router too: the one of net/http redirects, and its errors are no JSON.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, mostBytes)
	ctx, enough := context.WithTimeout(r.Context(), callTime)
	defer enough()
	made, err := s.answer(ctx, r)
	if err != nil {
		told := problemOf(err)
		if told.Status >= 500 {
			log.Printf("%s %s: %v", r.Method, r.URL.Path, err)
		}
		made = told.answer()
	}
	made.write(w)
}

func (s *Service) answer(ctx context.Context, r *http.Request) (made answer, err error) {
	given, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if subtle.ConstantTimeCompare([]byte(given), []byte(s.Token)) == 0 {
		detail := "give the token, as Authorization: Bearer …"
		return made, problem{401, "unauthenticated", detail, nil, headers{"WWW-Authenticate": "Bearer"}}
	}
	rest, here := strings.CutPrefix(r.URL.Path, "/v1/"+s.Name)
	key, item := strings.CutPrefix(rest, "/")
	if !here || rest != "" && !item {
		return made, notFound
	}
	methods := map[string]func(*call) (answer, error){
		"GET": (*call).list, "POST": (*call).create, "DELETE": (*call).deleteSeveral,
	}
	allowed := "GET, POST, DELETE"
	if item {
		methods = map[string]func(*call) (answer, error){
			"GET": (*call).read, "PATCH": (*call).change, "PUT": (*call).change, "DELETE": (*call).delete,
		}
		allowed = "GET, PATCH, PUT, DELETE"
	}
	act, there := methods[strings.Replace(r.Method, "HEAD", "GET", 1)]
	if !there {
		return made, problem{405, "method_not_allowed", "one of " + allowed, nil, headers{"Allow": allowed}}
	}
	err = pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
		made, err = act(&call{ctx, s, tx, r, key})
		return err
	})
	return made, err
}

// ForgetOldKeys removes kept answers after a day, until it is told to stop.
func (s *Service) ForgetOldKeys(stop context.Context) {
	for hourly := time.Tick(time.Hour); ; {
		select {
		case <-stop.Done():
			return
		case <-hourly:
			statement := "DELETE FROM kept_answer WHERE kept_at < now() - interval '1 day'"
			if _, err := s.Pool.Exec(stop, statement); err != nil {
				log.Print(err)
			}
		}
	}
}
