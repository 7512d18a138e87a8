package main

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/expr-lang/expr"
)

func init() {
	generators = append(generators, generator{"expr", "github.com/expr-lang/expr", exprCases})
}

type exprCase struct {
	Result     any    `json:"result"`
	Expression string `json:"expression"`
	Value      any    `json:"value,omitempty"`
	Error      string `json:"error,omitempty"`
}

// measurement decodes the notation of a result: a typed one-key map.
func measurement(kind, text string) (any, any) {
	note := map[string]string{kind: text}
	switch kind {
	case "float":
		f, _ := strconv.ParseFloat(text, 64)
		return f, note
	case "floats":
		var words []string
		_ = json.Unmarshal([]byte(text), &words)
		floats := []float64{}
		for _, w := range words {
			f, _ := strconv.ParseFloat(w, 64)
			floats = append(floats, f)
		}
		return floats, note
	case "json":
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			panic(err)
		}
		return v, note
	case "string":
		return text, note
	}
	return nil, note
}

func toInt(in any) int64 {
	switch v := in.(type) {
	case float64:
		return int64(v)
	case int:
		return int64(v)
	case int64:
		return v
	case string:
		i, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			panic(err)
		}
		return i
	}
	panic(fmt.Sprintf("asInt of %T", in))
}

func toFloat(in any) float64 {
	switch v := in.(type) {
	case float64:
		return v
	case int:
		return float64(v)
	case int64:
		return float64(v)
	case string:
		f, err := strconv.ParseFloat(v, 64)
		if err != nil {
			panic(err)
		}
		return f
	}
	panic(fmt.Sprintf("asFloat of %T", in))
}

func exprCases() []any {
	var out []any
	for _, group := range exprGroups {
		result, note := measurement(group.kind, group.result)
		env := map[string]any{
			"result":  result,
			"asInt":   toInt,
			"asFloat": toFloat,
			"isNaN":   math.IsNaN,
			"isInf":   func(f float64) bool { return math.IsInf(f, 0) },
			"isNil":   func(any) bool { return result == nil },
			"default": func(_ any, fallback any) any {
				if result == nil {
					return fallback
				}
				return result
			},
		}
		for _, text := range group.expressions {
			c := exprCase{Result: note, Expression: text}
			value, err := guarded(func() (any, error) {
				program, err := expr.Compile(text, expr.Env(env))
				if err != nil {
					return nil, err
				}
				return expr.Run(program, env)
			})
			if err != nil {
				c.Error = err.Error()
			} else {
				c.Value = canonical(value)
			}
			out = append(out, c)
		}
	}
	return out
}

var exprGroups = []struct {
	kind, result string
	expressions  []string
}{
	{"float", "0.95", []string{
		`result >= 0.95`, `result < 0.9`, `result > 0.9 && result <= 1`, `0.9 < result < 1`, `0.99 < result <= 1`,
		`result == 0.95`, `result != 1`, `result == 1`, `result == "0.95"`, `result == nil`, `result != nil`,
		`result in [0.95, 1]`, `result in [1, 2]`, `result not in [1, 2]`, `result in ["a"]`, `result in 0..2`,
		`isNaN(result)`, `!isNaN(result) && !isInf(result)`, `not isNaN(result)`, `isNil(result)`, `isNil(nil)`,
		`default(result, 0) < 1`, `default(nil, 0)`, `asInt(result)`, `asInt(result) == 0`, `asFloat("1.5") > result`,
		`asFloat("x")`, `asInt("7") + 1`, `asInt("7.5")`, `result ? 1 : 2`, `result > 0 ? "up" : "down"`, `result || true`,
		`not result`, `!(result > 1)`, `-result`, `+result`, `result + 1`, `result * 2 - 1`, `result / 0`, `-1 / 0.0`,
		`7 / 2`, `7 % 3`, `7.5 % 2`, `-7 % 3`, `1 % 0`, `2 ** 10`, `2 ^ 3`, `-2 ** 2`, `2 ** 3 ** 2`, `2 ** -1`,
		`1 + 2 * 3`, `(1 + 2) * 3`, `10 - 2 - 3`, `1 < 2 == true`, `true and false or true`, `true || nil`, `1 == 1.0`,
		`"a" + "b"`, `"a" + 1`, `"a" < "b"`, `"a" < 1`, `1 == "a"`, `len("häh")`, `len(result)`, `result.field`, `result[0]`,
		`result?.field`, `unknown > 1`, `unknown()`, `result()`, `result >`, `result > 1)`, `(result > 1`, `result = 1`,
		`result === 1`, `result & 1`, `1 .. 3`, `1..3`, `3..1`, `[1, 2, 3][1:]`, `[1, 2, 3][:-1]`, `[1, 2, 3][1:2]`,
		`[1, 2, 3][-1]`, `[1, 2, 3][3]`, `[1, 2, 3][-4]`, `"hello"[1:3]`, `"hello"[0]`, `[1, "a"][1]`, `[]`, `[1, 2.5]`,
		`{a: 1, "b": result}`, `{a: 1}.a`, `{a: 1}["a"]`, `{a: 1}.b`, `{a: {b: 2}}.a.b`, `{"a": 1, 2: 3}`, `{(result > 0 ? "x" : "y"): 1}`,
		`{a: 1,}`, `[1, 2,]`, `let x = result; x > 0.5`, `let x = 1; let y = 2; x + y`, `let result = 1; result`, `let len = 1; len`,
		`let x = 1; x; x + 1`, `if result > 0.5 { "high" } else { "low" }`, `if result > 1 { 1 } else if result > 0.5 { 2 } else { 3 }`,
		`0x1F + 0b11 + 0o17`, `1_000`, `1e3`, `1.5e-3`, `.5`, `1.`, `9223372036854775807`, `9223372036854775808`, `9223372036854775807 + 1`,
		`"tab\there"`, `'it''s'`, `'it\'s'`, "`raw\\n`", `"\u00e4"`, `"bad \q"`, `"open`, `b"ab"`, `// note
result > 0.5`, `result /* inline */ > 0.5`, `/* open`, `result > 0.5;`, `1; 2`, `true ? 1`, `true ?: 2`, `nil ?? 5`, `nil ?? 5 + 1`,
		`(nil ?? 5) + 1`, `result ?? 1`, `result @ 1`, `note`, `nothing == nil`, `int("12")`, `int("x")`, `int(3.9)`, `float("2.5")`, `float(2)`,
		`string(1.5)`, `string(1000000.0)`, `string(nil)`, `string([1, "a", nil])`, `type(1)`, `type(1.5)`, `type("")`, `type(nil)`, `type([])`, `type({})`,
		`abs(-1)`, `abs(-1.5)`, `abs("a")`, `ceil(1.2)`, `floor(-1.2)`, `round(2.5)`, `round(-2.5)`, `ceil(1)`, `max(1, 2.5)`, `min([3, 1, 2])`,
		`max(1, [5, 2])`, `max([])`, `max("a")`, `mean([1, 2, 4])`, `mean([])`, `median([3, 1, 2])`, `median(1, 2, 3, 4)`, `sum([1, 2, 3])`, `sum([1.5, 2])`,
		`sum([])`, `sum(["a"])`, `sum([1, 2], # * 2)`, `$env.result > 0.5`, `$env["result"]`, `result | abs()`, `-1 | abs() | string()`,
		`duration("1h30m").Minutes()`, `duration("90s")`, `duration("1h") > duration("30m")`, `duration("x")`, `duration("1h") + duration("1m")`,
		`date("2024-02-29").Year()`, `date("2024-02-29") < date("2024-03-01")`, `date("2024-03-01") - date("2024-02-29")`, `date("2024-02-29") + duration("24h")`,
		`date("2024-02-29 10:11:12", "2006-01-02 15:04:05").Hour()`, `date("29.02.2024", "02.01.2006").Unix()`, `date("nonsense")`,
		`date("2024-02-29T10:00:00Z").Format("Mon, 2 Jan 2006")`, `date("2024-01-31").AddDate(0, 1, 0).Format("2006-01-02")`,
		`date("2024-07-01T12:00:00Z").In(timezone("Europe/Berlin")).Hour()`, `timezone("Not/There")`,
		`bitand(6, 3)`, `bitor(6, 3)`, `bitxor(6, 3)`, `bitnot(1)`, `bitshl(1, 4)`, `bitshr(-16, 2)`, `bitnand(7, 2)`, `bitushr(-1, 60)`, `bitand(1.5, 2)`,
		`::abs(-1)`, `not true`, `!true == false`, `not true == false`, `true and not false`, `1 in [1] and 2 in [2]`, `"a" in {a: 1}`, `1 in {a: 1}`,
		`"x" in "xyz"`, `#`, `.field`, `1 == 1 == true`, `1 < 2 < 3 < 4`, `1 < 3 < 2`, `(1 < 2) && "a"`, `[1] == [1]`, `[1] == [1.0]`, `{a: 1} == {a: 1}`, `nil == nil`, `nil > 1`,
	}},
	{"float", "NaN", []string{
		`isNaN(result)`, `result > 1`, `result <= 1`, `result == result`, `isInf(result)`, `result != result`, `default(result, 1)`, `result`, `string(result)`, `toJSON(result)`,
	}},
	{"float", "+Inf", []string{`isInf(result)`, `isInf(-result)`, `result > 1e300`, `result`, `asInt(1) < result`, `isNaN(result - result)`}},
	{"floats", `["10","20.5","30"]`, []string{
		`result[0] > 5`, `result[3] > 5`, `result[-1]`, `len(result) == 3`, `all(result, # > 5)`, `any(result, # > 30)`, `none(result, # > 30)`, `one(result, # == 10)`,
		`all(result, {# > 5})`, `10 in result`, `11 in result`, `"a" in result`, `max(result)`, `min(result) >= 10`, `mean(result)`, `median(result)`, `sum(result) / len(result)`,
		`filter(result, # > 15)`, `map(result, # * 2)`, `map(result, string(#))`, `count(result, # > 15) == 2`, `find(result, # > 15)`, `find(result, # > 99)`,
		`findIndex(result, # > 15)`, `findIndex(result, # > 99)`, `findLast(result, # > 1)`, `findLastIndex(result, # < 25)`, `reduce(result, #acc + #)`, `reduce(result, #acc + #, 100)`,
		`reduce(result, #index)`, `reduce([], #acc + #)`, `sort(result, "desc")`, `sortBy(result, -#)`, `sortBy(result, #, "up")`, `groupBy(result, # > 15)`, `groupBy(result, # > 15)[true]`,
		`result == 10`, `result == "a"`, `result == nil`, `result > 5`, `isNaN(result)`, `default(result, 0)`, `first(result)`, `last(result)`, `take(result, 2)`, `take(result, 9)`,
		`get(result, 1)`, `get(result, 9)`, `result | filter(# > 15) | len()`, `len(filter(result, # > 15)) > 0 ? result[0] : 0`, `result[1:]`, `result[:1]`, `result[5:]`, `result["a"]`, `result.a`,
		`reverse(result)`, `uniq([1, 1.0, 2, "a", "a"])`, `concat(result, [1])`, `flatten([[1, 2], [3, [4]]])`, `all(result, #)`, `filter(result, # + 1)`, `any(result, true)`, `all(result, # > "a")`,
		`all(result)`, `map(result, #index)`, `filter(result, # > 15 and # < 25)`, `all(filter(result, # > 15), # > 20)`, `any(result, any([5], # > 1))`, `all(result, let x = #; x > 1)`, `all(result, {let x = #; x > 1})`,
		`len(result) > 0 && result[0] > 5`, `result[0] == "x"`, `result[result[0]]`, `join(result)`, `keys(result)`, `count([true, false, true])`, `count([1])`, `toJSON(result)`, `asInt(result)`, `asFloat(result[0])`,
		`sort([3, "a"])`, `sort([3, 1, 2])`, `sort(["b", "a"])`, `indexOf("abc", "c")`, `result[0:2][1]`, `(result)[0]`, `[result[0], 1]`,
	}},
	{"floats", `[]`, []string{`result[0]`, `len(result) == 0`, `all(result, # > 1)`, `any(result, # > 1)`, `max(result)`, `first(result)`, `last(result)`, `sum(result)`, `mean(result)`, `default(result, 1)`, `isNil(result)`, `len(result) == 0 || result[0] < 1`}},
	{"json", `{"a": 1, "b": {"c": "x", "d.e": true, "list": [{"n": "p", "v": 5}, {"n": "q", "v": 7}]}, "z": null, "not": 3, "empty": []}`, []string{
		`result.a == 1`, `result.a == "1"`, `result.a > "1"`, `result["a"] == 1`, `result.b.c == "x"`, `result.b["d.e"]`, `result.b.list[0].n`, `result.b.list[5].n`, `result.missing`, `result.missing.deep`,
		`result.missing?.deep`, `result?.missing?.deep.er`, `result.missing?.deep == nil`, `result?.b.c`, `result.z == nil`, `result.z?.x ?? "none"`, `result.not`, `result.a.b`, `"a" in result`, `"q" in result`,
		`1 in result`, `all(result.b.list, .v > 4)`, `all(result.b.list, {.v > 4})`, `all(result.b.list, #.v > 6)`, `map(result.b.list, .n)`, `map(result.b.list, {n: .n, v: #.v + 1})`, `filter(result.b.list, .n == "p")`,
		`filter(result.b.list, .n matches "^[pq]$") | len()`, `find(result.b.list, .v == 7).n`, `sum(result.b.list, .v)`, `sortBy(result.b.list, .v, "desc")[0].n`, `groupBy(result.b.list, .n)`, `groupBy(result.b.list, .n).p`, `len(result)`, `len(result.b.list)`, `keys(result.b) | sort()`,
		`result.b.c matches "^x$"`, `result.b.c matches "["`, `result.b.c contains "x"`, `result.b.c startsWith "y"`, `result.b.c endsWith "x"`, `result.b.c not contains "y"`, `result.a contains "x"`, `result.z contains "x"`, `result.z matches "x"`,
		`result.b.c + "y"`, `result.a + "y"`, `result.a + 1`, `result.z + 1`, `result.z > 1`, `-result.b.c`, `not result.a`, `result.b["d.e"] ? 1 : 2`, `result.a ? 1 : 2`, `result.a && true`, `result.b["d.e"] and result.a == 1`,
		`toJSON(result.b.list)`, `toJSON({b: 1, a: "<&>"})`, `fromJSON("{\"k\": [1, null]}")`, `fromJSON("x")`, `result == nil`, `result == {}`, `result == 1`, `result > 1`, `isNil(result)`, `asInt(result.a)`, `asFloat(result.b.c)`, `default(result.missing, 7) == 7`,
		`values({a: 1})`, `toPairs({a: 1})`, `fromPairs([["a", 1]])`, `fromPairs([["a"]])`, `result.empty[0]`, `result.empty == []`, `result.b.list[0].v in [5, 6]`, `result.b.list | map(.v) | max()`, `result.b.list[0]`, `result[1]`, `result[nil]`,
		`reduce(result.b.list, #acc + .v, 0)`, `count(result.b.list, .v > 5)`, `none(result.b.list, .n == "zz")`, `let l = result.b.list; len(l) > 1 and l[0].v < l[1].v`, `result.b.list[0]?.n`, `result.z?.[0]`, `result.missing?.[0].x`,
		`any(result.b.list, any(result.b.list, .v == 7))`, `map(result.b.list, map([1, 2], # * 2))`, `result.b.list.n`, `get(result, "a")`, `get(result, "missing")`, `get(result.missing, "a")`, `result.b.list[0:1]`, `all(result.a, true)`, `all(result.z, true)`, `string(result.b)`, `len(result.z)`,
	}},
	{"json", `[1, "a", null, true]`, []string{`result[0] == 1`, `result[1] == "a"`, `result[2] == nil`, `result[3]`, `1 in result`, `nil in result`, `all(result, # != 5)`, `map(result, type(#))`, `max(result)`, `sum(result)`, `len(result)`, `result[0] + result[1]`, `uniq(result)`, `join(result, ",")`}},
	{"json", `[1, 2, "a"]`, []string{`result[0] .. 3`, `get(result, "a")`, `get(result, 5)`, `get(1, 2)`, `get("text", 0)`, `get({a: 1}, 1)`, `groupBy(result, [#])`, `groupBy(result, # == 1)`}},
	{"floats", `["1", "2"]`, []string{`join(result, ",")`, `get(result, "a")`, `result[0] .. 3`, `join(map(result, string(#)), ",")`}},
	{"json", `"text"`, []string{`result == "text"`, `result == 1`, `len(result) == 4`, `result matches "^t"`, `result contains "ex"`, `upper(result)`, `result > "a"`, `asInt(result)`, `result[0:2]`}},
	{"json", `true`, []string{`result`, `!result`, `result == true`, `result == "true"`, `result and true`, `result ? "y" : "n"`, `result > 1`}},
	{"json", `42`, []string{`result == 42`, `result`, `result % 5`, `asInt(result) % 5`, `int(result) % 5 == 2`, `result in 40..45`, `string(result)`}},
	{"string", "OK 200", []string{
		`result == "OK 200"`, `result contains "OK"`, `result startsWith "OK"`, `split(result, " ")[1] == "200"`, `asInt(split(result, " ")[1]) == 200`, `lower(result)`, `trim("  x ")`, `trim("--x-", "-")`, `trimPrefix(result, "OK ")`,
		`trimSuffix("a.json", ".json")`, `replace(result, "0", "1")`, `replace(result, "0", "1", 1)`, `repeat("ab", 3)`, `repeat("a", -1)`, `repeat("a", 2000000)`, `join(["a", "b"], "-")`, `join(["a", 1])`, `split("a,b,c", ",", 2)`, `splitAfter("a,b", ",")`, `split("abc", "")`,
		`indexOf(result, "2")`, `lastIndexOf(result, "0")`, `indexOf(result, "z")`, `hasPrefix(result, "OK")`, `hasSuffix(result, "00")`, `toBase64(result)`, `fromBase64("T0s=")`, `fromBase64("%")`, `result matches "\\d+"`, `result matches "("`, `result not matches "z"`, `result + 1`, `upper(1)`, `upper()`, `upper("a", "b")`, `len(result)`, `result == nil`, `isNil(result)`, `"K" in split(result, "")`, `result ?? "x"`,
	}},
	{"null", "", []string{`result == nil`, `isNil(result)`, `isNil(5)`, `default(result, 0) == 0`, `default(5, 7)`, `result > 1`, `result ?? 3`, `result.a`, `result?.a`, `result == 1`, `result in [nil]`, `1 in result`, `len(result)`, `result[0]`, `isNaN(result)`, `asInt(result)`, `result || true`, `!result`, `default(result, 0) < 1`, `all(result, true)`, `result`}},
}
