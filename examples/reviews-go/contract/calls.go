package contract

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
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

func (c *call) wanted() (any, error) {
	field, _ := c.field(c.Key)
	key, ok := field.Kind.read(c.key)
	if !ok {
		return nil, notFound
	}
	return key, nil
}

// locked returns the item, which nobody else writes until the transaction ends, where If-Match holds.
func (c *call) locked() (Row, error) {
	key, err := c.wanted()
	if err != nil {
		return nil, err
	}
	if err := c.lock([]string{fmt.Sprint(key)}); err != nil {
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
