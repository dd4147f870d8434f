package contract

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"

	"github.com/jackc/pgx/v5/pgconn"
)

type headers map[string]string

type answer struct {
	Status  int
	Body    any
	Headers headers
}

// A problem is an answer by RFC 9457.
type problem struct {
	Status  int          `json:"status"`
	Code    string       `json:"code"`
	Detail  string       `json:"detail"`
	Errors  []wrongField `json:"errors,omitempty"`
	headers headers
}

type wrongField struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

func (p problem) Error() string { return p.Detail }

var (
	notFound  = problem{Status: 404, Code: "not_found", Detail: "no such item"}
	ours      = problem{Status: 500, Code: "internal_error", Detail: "an error of ours; nothing was done"}
	away      = problem{503, "database_unavailable", "our database is away; nothing was done", nil, headers{"Retry-After": "1"}}
	tooLarge  = problem{Status: 413, Code: "body_too_large", Detail: "the body is larger than this service takes"}
	malformed = problem{Status: 400, Code: "malformed_json", Detail: "expected one JSON object"}
)

// Ours marks an error as one that no client could do something about.
func Ours(err error) error { return errors.Join(ours, err) }

func invalid(wrong ...wrongField) error {
	if len(wrong) == 0 {
		return nil
	}
	return problem{Status: 422, Code: "not_valid", Detail: wrong[0].Field + ": " + wrong[0].Detail, Errors: wrong}
}

func notValid(field, detail string) error { return invalid(wrongField{field, detail}) }

// problemOf says what an error means to a client. What PostgreSQL does not name is a connection that failed.
func problemOf(err error) problem {
	var told problem
	var large *http.MaxBytesError
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &told):
		return told
	case errors.As(err, &large):
		return tooLarge
	case !errors.As(err, &refused):
		return away
	case refused.Code == "23505":
		return problem{Status: 409, Code: "already_exists", Detail: refused.Message}
	}
	switch refused.Code[:2] {
	case "22":
		return problem{Status: 422, Code: "not_valid", Detail: refused.Message}
	case "23":
		return problem{Status: 409, Code: "conflict", Detail: refused.Message}
	case "42":
		return ours
	}
	return away
}

func (p problem) answer() answer {
	made := answer{p.Status, p, headers{"Content-Type": "application/problem+json"}}
	maps.Copy(made.Headers, p.headers)
	return made
}

func (a answer) write(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	if a.Body != nil {
		w.Header().Set("Content-Type", "application/json")
	}
	for name, value := range a.Headers {
		w.Header().Set(name, value)
	}
	w.WriteHeader(a.Status)
	if a.Body != nil {
		json.NewEncoder(w).Encode(a.Body) // whoever went away has no use for an error
	}
}
