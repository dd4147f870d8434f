package contract

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	usualRows, mostRows = 100, 1000
	mostOffset          = 1_000_000
	mostSort            = 8
	mostValues          = 200 // of one `in`, of one POST
	mostComparisons     = 100
	mostDepth           = 8
)

// A query is what a request for a list asks for, in SQL. Everything that a client gives is an argument of it, but for
// names, which are the collection's own.
type query struct {
	collection  *Collection
	where       string
	args        []any
	comparisons int
	sort        []sorted
	fields      []string
	limit       int
	offset      int
	after       []any // the values of sort in the row that the page begins behind
	count       bool
}

type sorted struct {
	Field
	falling bool
}

var comparisons = map[string]string{
	"exact": "%s = %s", "lt": "%s < %s", "lte": "%s <= %s", "gt": "%s > %s", "gte": "%s >= %s",
}

// Of a text; LIKE would ask for escapes.
var searches = map[string]string{
	"iexact":      "upper(%s::text) = upper(%s::text)",
	"contains":    "strpos(%s::text, %s::text) > 0",
	"icontains":   "strpos(upper(%s::text), upper(%s::text)) > 0",
	"startswith":  "starts_with(%s::text, %s::text)",
	"istartswith": "starts_with(upper(%s::text), upper(%s::text))",
}

func (c *Collection) query(values url.Values) (*query, error) {
	q := &query{collection: c, fields: c.names()}
	var err error
	conditions := []string{"TRUE"}
	own := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		for _, value := range values[name] {
			var condition string
			switch name {
			case "sort", "limit", "offset", "cursor", "fields", "count":
				own[name] = value
				continue
			case "filter":
				condition, err = q.filter(value)
			default:
				condition, err = q.parameter(name, value)
			}
			if err != nil {
				return nil, err
			}
			conditions = append(conditions, condition)
		}
	}
	q.where = strings.Join(conditions, " AND ")
	return q, q.own(own)
}

func (q *query) own(given map[string]string) (err error) {
	if q.sort, err = q.sorting(given["sort"]); err != nil {
		return err
	}
	if q.limit, err = number(given, "limit", usualRows, mostRows); err != nil {
		return err
	}
	if q.offset, err = number(given, "offset", 0, mostOffset); err != nil {
		return err
	}
	if cursor, there := given["cursor"]; there {
		if _, both := given["offset"]; both {
			return notValid("cursor", "a cursor and an offset exclude each other")
		}
		if q.after, err = q.behindOf(cursor); err != nil {
			return err
		}
	}
	if names, there := given["fields"]; there {
		q.fields = append(strings.Split(names, ","), q.collection.Key)
		for _, name := range q.fields {
			if _, known := q.collection.field(name); !known {
				return notValid("fields", fmt.Sprintf("%q is no field of this collection", name))
			}
		}
	}
	count := given["count"]
	if q.count = count == "true"; !slices.Contains([]string{"", "true", "false"}, count) {
		return notValid("count", "expected true or false")
	}
	return nil
}

func number(given map[string]string, name string, usual, most int) (int, error) {
	text, there := given[name]
	if !there {
		return usual, nil
	}
	value, err := strconv.ParseUint(text, 10, 31)
	if err != nil || int(value) > most {
		return 0, notValid(name, fmt.Sprintf("expected a number from 0 to %d", most))
	}
	return int(value), nil
}

func (q *query) arg(value any) string {
	q.args = append(q.args, value)
	return "$" + strconv.Itoa(len(q.args))
}

func (q *query) compared(f Field, value any) string {
	return fmt.Sprintf(f.Kind.compared, q.arg(value))
}

func (q *query) parameter(name, text string) (string, error) {
	field, lookup := name, "exact"
	if at := strings.LastIndex(name, "__"); at > 0 {
		field, lookup = name[:at], name[at+2:]
	}
	var value any = text
	if lookup == "in" || lookup == "range" {
		parts := []any{}
		for part := range strings.SplitSeq(text, ",") {
			parts = append(parts, part)
		}
		value = parts
	}
	return q.compare(field, lookup, value, name)
}

// filter reads a tree of conditions in JSON. Logic has two values in it: what is NULL is not true.
func (q *query) filter(text string) (string, error) {
	tree, err := decode([]byte(text))
	if err != nil {
		return "", notValid("filter", "not JSON")
	}
	return q.tree(tree, "filter", mostDepth)
}

func (q *query) tree(node any, where string, depth int) (string, error) {
	if depth == 0 {
		return "", notValid("filter", fmt.Sprintf("more than %d levels deep", mostDepth))
	}
	object, _ := node.(map[string]any)
	if parts, is := object["all"].([]any); is && len(object) == 1 {
		return q.join(parts, " AND ", "TRUE", where+".all", depth)
	}
	if parts, is := object["any"].([]any); is && len(object) == 1 {
		return q.join(parts, " OR ", "FALSE", where+".any", depth)
	}
	if part, is := object["not"]; is && len(object) == 1 {
		inner, err := q.tree(part, where+".not", depth-1)
		return "(" + inner + ") IS NOT TRUE", err
	}
	field, named := object["field"].(string)
	lookup, meant := object["lookup"].(string)
	value, given := object["value"]
	if named && meant && given && len(object) == 3 {
		return q.compare(field, lookup, value, field)
	}
	return "", notValid(where, "expected one of all, any, not; or field, lookup and value")
}

func (q *query) join(parts []any, operator, empty, where string, depth int) (string, error) {
	conditions := []string{empty}
	for i, part := range parts {
		condition, err := q.tree(part, fmt.Sprintf("%s[%d]", where, i), depth-1)
		if err != nil {
			return "", err
		}
		conditions = append(conditions, condition)
	}
	return "(" + strings.Join(conditions, operator) + ")", nil
}

func (q *query) compare(name, lookup string, given any, where string) (string, error) {
	field, known := q.collection.field(name)
	if !known {
		return "", notValid(where, "no such parameter, and no such field of this collection")
	}
	if q.comparisons++; q.comparisons > mostComparisons {
		return "", notValid("filter", fmt.Sprintf("more than %d comparisons", mostComparisons))
	}
	if search, is := searches[lookup]; is {
		value, ok := Text.read(given)
		if !ok {
			return "", notValid(where, "expected "+Text.expects)
		}
		return fmt.Sprintf(search, name, q.arg(value)), nil
	}
	if comparison, is := comparisons[lookup]; is {
		values, err := q.values(field, []any{given}, where)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf(comparison, name, values[0]), nil
	}
	switch lookup {
	case "isnull":
		value, ok := Boolean.read(given)
		if !ok {
			return "", notValid(where, "expected true or false")
		}
		return fmt.Sprintf("(%s IS NULL) = %s", name, q.arg(value)), nil
	case "in", "range":
		list, is := given.([]any)
		if !is || lookup == "range" && len(list) != 2 || len(list) > mostValues {
			return "", notValid(where, fmt.Sprintf("expected two values of a range, or a list of %d at most", mostValues))
		}
		values, err := q.values(field, list, where)
		if err != nil || len(values) == 0 {
			return "FALSE", err
		}
		if lookup == "range" {
			return fmt.Sprintf("%s BETWEEN %s AND %s", name, values[0], values[1]), nil
		}
		return fmt.Sprintf("%s IN (%s)", name, strings.Join(values, ", ")), nil
	}
	return "", notValid(where, fmt.Sprintf("%q is no lookup", lookup))
}

// values makes arguments of a filter's values, which any length and size may have.
func (q *query) values(f Field, given []any, where string) ([]string, error) {
	arguments := make([]string, len(given))
	for i, one := range given {
		value, ok := f.Kind.read(one)
		if !ok {
			return nil, notValid(where, "expected "+f.Kind.expects+"; null is asked for with isnull")
		}
		arguments[i] = q.compared(f, value)
	}
	return arguments, nil
}

func (q *query) sorting(names string) ([]sorted, error) {
	sort := []sorted{}
	for _, name := range append(strings.Split(names, ","), q.collection.Key) {
		bare, falling := strings.CutPrefix(name, "-")
		field, known := q.collection.field(bare)
		switch {
		case name == "":
		case !known:
			return nil, notValid("sort", fmt.Sprintf("%q is no field that this collection can be ordered by", bare))
		case !slices.ContainsFunc(sort, func(one sorted) bool { return one.Name == bare }):
			sort = append(sort, sorted{field, falling})
		}
	}
	if len(sort) > mostSort+1 {
		return nil, notValid("sort", fmt.Sprintf("more than %d fields", mostSort))
	}
	return sort, nil
}

// order puts null last, and first where the order falls, as PostgreSQL does by itself.
func (q *query) order() string {
	columns := make([]string, len(q.sort))
	for i, one := range q.sort {
		columns[i] = one.Name
		if one.falling {
			columns[i] += " DESC"
		}
	}
	return strings.Join(columns, ", ")
}

// A cursor is the sort, and the values in it of the row that the page begins behind.
func (q *query) cursor(last map[string]any) string {
	told := []any{q.order()}
	for _, one := range q.sort {
		told = append(told, last[one.Name])
	}
	encoded, _ := json.Marshal(told) // texts, numbers, truth values and nil
	return base64.RawURLEncoding.EncodeToString(encoded)
}

func (q *query) behindOf(cursor string) ([]any, error) {
	encoded, _ := base64.RawURLEncoding.DecodeString(cursor)
	given, _ := decode(encoded)
	told, _ := given.([]any)
	if len(told) != len(q.sort)+1 || told[0] != q.order() {
		return nil, notValid("cursor", "not a cursor of this list in this sort; start again without it")
	}
	for i, one := range q.sort {
		if told[i+1] == nil && one.Null {
			continue
		}
		value, ok := one.Kind.read(told[i+1])
		if !ok {
			return nil, notValid("cursor", "not a cursor of this list")
		}
		told[i+1] = value
	}
	return told[1:], nil
}

// behind is true for rows further on by the first column, or equal in it and further on by those that follow.
func (q *query) behind(sort []sorted, after []any) string {
	if len(sort) == 0 {
		return "FALSE"
	}
	column, value, rest := sort[0].Name, "", q.behind(sort[1:], after[1:])
	if after[0] != nil {
		value = q.compared(sort[0].Field, after[0])
	}
	switch {
	case after[0] == nil && sort[0].falling:
		return fmt.Sprintf("(%[1]s IS NULL AND %[2]s OR %[1]s IS NOT NULL)", column, rest)
	case after[0] == nil:
		return fmt.Sprintf("(%s IS NULL AND %s)", column, rest)
	case sort[0].falling:
		return fmt.Sprintf("(%[1]s = %[2]s AND %[3]s OR %[1]s < %[2]s)", column, value, rest)
	}
	return fmt.Sprintf("(%[1]s = %[2]s AND %[3]s OR %[1]s > %[2]s OR %[1]s IS NULL)", column, value, rest)
}

func decode(text []byte) (value any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err = decoder.Decode(&value); err == nil && decoder.More() {
		err = fmt.Errorf("more than one value")
	}
	return value, err
}
