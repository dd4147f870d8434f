package contract

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// A call is one request in its transaction, which is rolled back where a method returns an error.
type call struct {
	context.Context
	*Service
	tx  pgx.Tx
	r   *http.Request
	key string // of the item, where the path names one
}

func (c *call) list() (answer, error) {
	values, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return answer{}, notValid("query", err.Error())
	}
	q, err := c.query(values)
	if err != nil {
		return answer{}, err
	}
	body := map[string]any{"next": nil}
	if q.count {
		var count int64
		statement := fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", c.Name, q.where)
		if err := c.tx.QueryRow(c, statement, q.args...).Scan(&count); err != nil {
			return answer{}, err
		}
		body["count"] = count
	}
	if q.after != nil {
		q.where += " AND " + q.behind(q.sort, q.after)
	}
	more := 1 // than the limit: whether there is a next page
	if q.limit == 0 {
		more = 0
	}
	rows, err := c.find(fmt.Sprintf("%s ORDER BY %s LIMIT %d OFFSET %d", q.where, q.order(), q.limit+more, q.offset), q.args)
	if len(rows) > q.limit {
		rows = rows[:q.limit]
		values.Del("offset")
		values.Del("count")
		values.Set("cursor", q.cursor(c.item(rows[q.limit-1], c.names())))
		body["next"] = c.r.URL.Path + "?" + values.Encode()
	}
	body["items"] = c.items(rows, q.fields)
	return answer{200, body, nil}, err
}

func (c *call) read() (answer, error) {
	found, err := c.one()
	if err != nil {
		return answer{}, err
	}
	known := strings.ReplaceAll(c.r.Header.Get("If-None-Match"), "W/", "") // of a proxy that compresses
	if slices.Contains(tags.FindAllString(known, -1), etag(found)) {
		return answer{304, nil, headers{"ETag": etag(found)}}, nil
	}
	return c.whole(200, found), nil
}

// create makes one item, or several: all of them or none.
func (c *call) create() (answer, error) {
	body, object, err := c.object()
	if err != nil {
		return answer{}, err
	}
	return c.once(body, func() (answer, error) {
		list, several := object["items"].([]any)
		if several = several && len(object) == 1; !several {
			list = []any{object}
		}
		rows, err := c.created(list, several)
		if err != nil {
			return answer{}, err
		}
		keys := []string{}
		for _, one := range rows {
			keys = append(keys, fmt.Sprint(one[c.Key]))
		}
		if err := c.lock(keys); err != nil {
			return answer{}, err
		}
		for _, one := range rows {
			if err := c.save("INSERT INTO %s (%s) VALUES (%s)", one, Created); err != nil {
				return answer{}, err
			}
		}
		if several {
			return answer{201, map[string]any{"items": c.items(rows, c.names())}, nil}, nil
		}
		made := c.whole(201, rows[0])
		made.Headers["Location"] = c.r.URL.Path + "/" + url.PathEscape(keys[0])
		return made, nil
	})
}

func (c *call) created(list []any, several bool) (rows []Row, err error) {
	if len(list) > mostValues {
		return nil, notValid("items", fmt.Sprintf("%d items; %d at most", len(list), mostValues))
	}
	wrong, where := []wrongField{}, ""
	for i, one := range list {
		if several {
			where = fmt.Sprintf("items[%d].", i)
		}
		given, is := one.(map[string]any)
		if !is {
			return nil, notValid("items", "expected a list of objects")
		}
		made := Row{}
		wrong = append(wrong, c.filled(made, given, where)...)
		for _, field := range c.Fields {
			if _, there := made[field.Name]; there {
				continue
			}
			if field.Initial == nil {
				wrong = append(wrong, wrongField{where + field.Name, "this field is required"})
				continue
			}
			made[field.Name] = field.Initial()
		}
		rows = append(rows, made)
	}
	return rows, invalid(wrong...)
}

// change is PATCH and PUT. Where nothing differs nothing has happened, and there is no event of it.
func (c *call) change() (answer, error) {
	_, given, err := c.object()
	if err != nil {
		return answer{}, err
	}
	before, err := c.locked()
	if err != nil {
		return answer{}, err
	}
	after := maps.Clone(before)
	wrong := c.filled(after, given, "")
	for _, name := range c.names() {
		if _, there := given[name]; c.r.Method == "PUT" && !there && name != c.Key {
			wrong = append(wrong, wrongField{name, "a PUT gives every field"})
		}
	}
	if after[c.Key] != before[c.Key] {
		wrong = append(wrong, wrongField{c.Key, "the key of an item does not change"})
	}
	if err := invalid(wrong...); err != nil {
		return answer{}, err
	}
	if !maps.Equal(c.item(before, c.names()), c.item(after, c.names())) {
		err = c.save("UPDATE %s SET (%s) = ROW(%s) WHERE "+c.Key+" = $1", after, Changed)
	}
	return c.whole(200, after), err
}

// save writes a row with the version of the event that it goes with.
func (c *call) save(statement string, one Row, change Change) (err error) {
	if one["version"], err = c.Append(c, c.tx, c.r, change, one); err != nil {
		return err
	}
	columns, places, args := append(c.names(), "version"), []string{}, []any{}
	for i, name := range columns {
		places = append(places, fmt.Sprintf("$%d", i+1))
		args = append(args, one[name])
	}
	_, err = c.tx.Exec(c, fmt.Sprintf(statement, c.Name, strings.Join(columns, ", "), strings.Join(places, ", ")), args...)
	return err
}

func (c *call) delete() (answer, error) {
	found, err := c.locked()
	if err != nil {
		return answer{}, err
	}
	return answer{204, nil, nil}, c.remove(found)
}

// deleteSeveral takes the keys of what is to be deleted: nothing that could be everything by a slip of the client's.
func (c *call) deleteSeveral() (answer, error) {
	name := c.Key + "__in"
	values, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil || len(values) != 1 || len(values[name]) != 1 {
		return answer{}, notValid(name, "name the keys of what is to be deleted, and nothing else")
	}
	q, err := c.query(values)
	if err != nil {
		return answer{}, err
	}
	keys := []string{}
	for _, key := range q.args {
		keys = append(keys, fmt.Sprint(key))
	}
	if err := c.lock(keys); err != nil {
		return answer{}, err
	}
	rows, err := c.find(q.where, q.args)
	if err != nil {
		return answer{}, err
	}
	return answer{200, map[string]any{"deleted": len(rows)}, nil}, c.remove(rows...)
}

func (c *call) remove(rows ...Row) error {
	for _, one := range rows {
		if _, err := c.Append(c, c.tx, c.r, Deleted, one); err != nil {
			return err
		}
		statement := fmt.Sprintf("DELETE FROM %s WHERE %s = $1", c.Name, c.Key)
		if _, err := c.tx.Exec(c, statement, one[c.Key]); err != nil {
			return err
		}
	}
	return nil
}

func (c *call) find(where string, args []any) ([]Row, error) {
	columns := []string{"version"}
	for _, one := range c.Fields {
		columns = append(columns, fmt.Sprintf(one.Kind.selected, one.Name))
	}
	statement := fmt.Sprintf("SELECT %s FROM %s WHERE %s", strings.Join(columns, ", "), c.Name, where)
	found, err := c.tx.Query(c, statement, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, func(one pgx.CollectableRow) (Row, error) { return pgx.RowToMap(one) })
}

func (c *call) one() (Row, error) {
	key, err := c.wanted()
	if err != nil {
		return nil, err
	}
	rows, err := c.find(c.Key+" = $1", []any{key})
	if err == nil && len(rows) == 0 {
		err = notFound
	}
	if err != nil {
		return nil, err
	}
	return rows[0], nil
}

func (c *call) wanted() (string, error) {
	field, _ := c.field(c.Key)
	key, ok := field.Kind.read(c.key)
	if !ok {
		return "", notFound
	}
	return fmt.Sprint(key), nil
}

// locked returns the item, which nobody else writes until the transaction ends, where If-Match holds.
func (c *call) locked() (Row, error) {
	key, err := c.wanted()
	if err != nil {
		return nil, err
	}
	if err := c.lock([]string{key}); err != nil {
		return nil, err
	}
	found, err := c.one()
	if err != nil {
		return nil, err
	}
	must := c.r.Header.Get("If-Match")
	if must != "" && must != "*" && !slices.Contains(tags.FindAllString(must, -1), etag(found)) {
		detail := fmt.Sprintf("If-Match: it is %s now; nothing was changed", etag(found))
		return nil, problem{Status: 412, Code: "precondition_failed", Detail: detail}
	}
	return found, nil
}

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
	var kept answer
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
	return kept, err
}

func (c *call) object() (body []byte, object map[string]any, err error) {
	if c.r.URL.RawQuery != "" {
		return nil, nil, notValid(c.r.URL.RawQuery, "no parameters here")
	}
	if body, err = io.ReadAll(c.r.Body); err != nil {
		return nil, nil, err
	}
	value, err := decode(body)
	object, is := value.(map[string]any)
	if err != nil || !is {
		return nil, nil, malformed
	}
	return body, object, nil
}

func (c *call) items(rows []Row, names []string) []any {
	items := make([]any, len(rows))
	for i, one := range rows {
		items[i] = c.item(one, names)
	}
	return items
}

func (c *call) whole(status int, one Row) answer {
	return answer{status, c.item(one, c.names()), headers{"ETag": etag(one)}}
}

var tags = regexp.MustCompile(`(W/)?"[^"]*"`)

func etag(r Row) string { return fmt.Sprintf(`"%v"`, r["version"]) }

func (c *call) lock(keys []string) error {
	slices.Sort(keys) // two transactions never wait for each other
	return c.Lock(c, c.tx, keys)
}

// NewID returns a random UUID.
func NewID() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
