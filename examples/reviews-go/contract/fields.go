package contract

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A Collection is a table whose columns clients see under their own names. Beside them it has a column version.
type Collection struct {
	Name, Key string
	Fields    []Field
}

type Field struct {
	Name        string
	Kind        Kind
	Null        bool
	Least, Most int        // of the number, or of the text's length; no bounds where Most is 0
	Initial     func() any // of a new item whose client gives none; nil: it must be given, unless it is generated
	Generated   bool       // by the sequence of its column, where the client gives none
}

// A Row has int64, string, bool, time.Time and nil by column.
type Row map[string]any

func (c *Collection) names() (names []string) {
	for _, one := range c.Fields {
		names = append(names, one.Name)
	}
	return names
}

func (c *Collection) field(name string) (Field, bool) {
	if at := slices.Index(c.names(), name); at >= 0 {
		return c.Fields[at], true
	}
	return Field{}, false
}

// item is a row as clients see it.
func (c *Collection) item(r Row, names []string) map[string]any {
	item := map[string]any{"_version": fmt.Sprint(r["version"])}
	for _, name := range names {
		item[name] = r[name]
		if moment, is := r[name].(time.Time); is {
			item[name] = moment.UTC().Format("2006-01-02T15:04:05.999999Z07:00")
		}
	}
	return item
}

// filled puts what a client gives into a row, and returns what is wrong with it.
func (c *Collection) filled(r Row, given map[string]any, where string) (wrong []wrongField) {
	for name := range given {
		if _, known := c.field(name); !known {
			wrong = append(wrong, wrongField{where + name, "no such field of this collection"})
		}
	}
	for _, field := range c.Fields {
		if value, there := given[field.Name]; there {
			detail := ""
			if r[field.Name], detail = field.value(value); detail != "" {
				wrong = append(wrong, wrongField{where + field.Name, detail})
			}
		}
	}
	return wrong
}

func (f Field) value(given any) (value any, wrong string) {
	if given == nil && f.Null {
		return nil, ""
	}
	value, ok := f.Kind.read(given)
	if !ok {
		return nil, "expected " + f.Kind.expects
	}
	size, _ := value.(int64)
	if text, is := value.(string); is {
		size = int64(utf8.RuneCountInString(text))
	}
	if f.Most > 0 && (size < int64(f.Least) || size > int64(f.Most)) {
		return nil, fmt.Sprintf("%d is not from %d to %d", size, f.Least, f.Most)
	}
	return value, ""
}

// A Kind reads a value from JSON, or from the text in a URL. With selected a column is scanned, and with compared a value
// stands in a filter: any bigint does, whatever integers the column is of.
type Kind struct {
	expects, selected, compared string
	read                        func(given any) (any, bool)
}

var (
	Integer = Kind{"a whole number", "%[1]s::bigint AS %[1]s", "%s::bigint", func(given any) (any, bool) {
		value, err := strconv.ParseInt(plain(given), 10, 64)
		return value, err == nil
	}}
	Boolean = Kind{"true or false", "%s", "%s", func(given any) (any, bool) {
		if value, is := given.(bool); is {
			return value, true
		}
		return plain(given) == "true", plain(given) == "true" || plain(given) == "false"
	}}
	Text = Kind{"a text without NUL", "%s", "%s", func(given any) (any, bool) {
		value, is := given.(string)
		return value, is && utf8.ValidString(value) && !strings.Contains(value, "\x00")
	}}
	Moment = Kind{"a time with its offset, as in 2026-01-31T12:00:00Z", "%s", "%s", func(given any) (any, bool) {
		value, err := time.Parse(time.RFC3339Nano, plain(given))
		return value.Truncate(time.Microsecond), err == nil
	}}
)

func plain(given any) string {
	switch value := given.(type) {
	case string:
		return value
	case json.Number:
		return value.String()
	}
	return ""
}
