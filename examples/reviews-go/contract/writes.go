package contract

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

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
		if err == nil {
			err = c.generate(rows)
		}
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
			if _, there := made[field.Name]; there || field.Generated {
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

const drawn = `SELECT nextval(pg_get_serial_sequence($1, $2)) FROM generate_series(1, $3)`

// generate fills in what clients leave to the database. It comes before the rows: their events, which give them their
// versions, are written first and need the keys.
func (c *call) generate(rows []Row) error {
	for _, field := range c.Fields {
		without := slices.DeleteFunc(slices.Clone(rows), func(one Row) bool { return one[field.Name] != nil })
		if !field.Generated || len(without) == 0 {
			continue
		}
		found, err := c.tx.Query(c, drawn, c.Name, field.Name, len(without))
		if err != nil {
			return err
		}
		values, err := pgx.CollectRows(found, pgx.RowTo[int64])
		if err != nil {
			return err
		}
		for i, one := range without {
			one[field.Name] = values[i]
		}
	}
	return nil
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
