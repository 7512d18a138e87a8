package main

import (
	"fmt"
	"reflect"
	"strconv"
	"time"
)

// canonical writes a value so that integers, floats, NaN and text stay distinct in JSON.
func canonical(value any) any {
	if value == nil {
		return map[string]any{"nil": true}
	}
	switch v := value.(type) {
	case bool:
		return v
	case string:
		return v
	case time.Duration:
		return map[string]any{"duration": v.String()}
	case time.Time:
		return map[string]any{"time": v.Format(time.RFC3339Nano)}
	}
	rv := reflect.ValueOf(value)
	switch rv.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return map[string]any{"int": strconv.FormatInt(rv.Int(), 10)}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return map[string]any{"int": strconv.FormatUint(rv.Uint(), 10)}
	case reflect.Float32, reflect.Float64:
		return map[string]any{"float": fmt.Sprint(rv.Float())}
	case reflect.Slice, reflect.Array:
		items := []any{}
		for i := 0; i < rv.Len(); i++ {
			items = append(items, canonical(rv.Index(i).Interface()))
		}
		return items
	case reflect.Map:
		items := map[string]any{}
		for _, key := range rv.MapKeys() {
			items[fmt.Sprint(key.Interface())] = canonical(rv.MapIndex(key).Interface())
		}
		return map[string]any{"map": items}
	}
	return fmt.Sprintf("unknown %T", value)
}
