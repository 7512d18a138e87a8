// Records what sigs.k8s.io/yaml answers for each case, as JSON text, or that it refuses.
//
//	cd crates/reconcile-core/tests/baseline/yaml/generate && go run . ../answers.json
package main

import (
	"encoding/json"
	"os"

	"sigs.k8s.io/yaml"
)

// scalars are put behind `a: ` one by one.
var scalars = []string{
	"", "~", "null", "Null", "nULL", "yes", "on", "NO", "y", "n", "Y", "N", "True", "tRUE", "off", "OFF", "oFF",
	"0", "00", "0644", "-0644", "08", "0o17", "0O17", "0x1F", "0X1f", "-0x1", "0b101", "-0b101", "+0b1", "0b2", "0x", "1_000", "_1", "1__0", "0_7",
	"+1", "-1", "--1", "1.", ".5", "-.5", "+.5", "3.0", "-3.0", "1e3", "1E3", "1e+3", "1e-3", "1.5e3", "1e", "e3", "1e400", "-1e400", "1e-400",
	"9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "18446744073709551615", "18446744073709551616",
	"123456789012345678901234567890", "0.1", "1.10", "100000000000000000000.0", "12345678.0", "1e21", "1e20",
	".", "..", "...a", ".e1", ".nan", ".inf", "-.inf", ".INF", "+.inf", "NaN", "Infinity", "-", "+",
	"12:30:45", "1:30", "2001-01-01", "2001-1-1", "2001-01-01T00:00:00Z", "2001-01-01 00:00:00", "2001", "2001-13-45", "20010101", "1.2.3", "v1", "1a", "10m", "5%", "1 2",
	"'yes'", "\"1\"", "'it''s'", "\"a\\tb\\u00e9\\x41\\/\"", "\"a\\\n  b\"", "a b  c", "a#b", "a #b", "a:b", "http://x/y", "{b: c}", "[1, yes, '2', ]", "{}", "[]", "{b}", "[a: 1]",
	"!!str 1", "!!int \"1\"", "!!int 1", "!!float 1", "!!float 1.5", "!!bool yes", "!!bool 1", "!!null x", "!!null ''", "!!binary aGk=", "!!binary '!'", "!!binary /w==", "!!timestamp 2001-01-01",
	"!local x", "! 1", "!!set {x, y}", "!!omap [x: 1]", "!!unknown 1", "<<", "=", "@a", "`a`", "%a", "&x 1", "*x", "|\n  l1\n  l2\n", "|-\n  l1\n", "|+\n  l1\n\n", ">\n  f1\n  f2\n\n  f3\n", "|2\n    x\n", "é", "\"\\ud83d\\ude00\"", "😀",
	"\"{{ .x }}\"", "{{ .x }}", "a\n  b\n  c", "- x", "? x", "x:", "0.0", "-0", "-0.0", "1e2_0", "0_", "1,000", "0xg",
}

var documents = []string{
	"on: 1\n", "y: 1\nn: 2\n", "yes: 1\ntrue: 2\n", "1: a\n", "1.5: a\n", "1e3: a\n", "0644: a\n", "0x10: a\n", "null: a\n", "~: a\n", "2001-01-01: a\n", "\"on\": a\n",
	"0.1: a\n", "1234567.891: a\n", "1e30: a\n", ".inf: a\n", ".nan: a\n", "18446744073709551615: a\n", "[a]: b\n", "{a: b}: c\n", "? a\n: b\n", "'': a\n",
	"a: 1\na: 2\n", "a: {x: 1}\na: {y: 2}\n", "b: &b {x: 1, y: 2}\na:\n  <<: *b\n  y: 3\n", "b: &b {x: 1}\na:\n  x: 3\n  <<: *b\n",
	"b: &b {x: 1}\nc: &c {x: 2, z: 3}\na:\n  <<: [*b, *c]\n", "a:\n  <<: {x: 1}\n", "a:\n  <<: 1\n", "a:\n  <<: [1]\n", "a:\n  '<<': {x: 1}\n", "a: [<<]\n", "a: &x [1, 2]\nb: *x\n",
	"a: *missing\n", "a: &x 1\nb: &x 2\nc: *x\n", "&k a: 1\nb: *k\n", "*k : 1\n", "&k a: 1\n*k : 2\n", "a: &x {b: *x}\n",
	"a:\n- 1\n- 2\n", "a:\n  - 1\n  -\n  - - 2\n", "- a: 1\n  b: 2\n-\n  c: 3\n", "a:\n\tb: 1\n", "a:\t1\n", "a: 1\n b: 2\n", "a: b: c\n", "a: 'x\n", "a: \"\\q\"\n", "a: [1, 2\n", "a: {b: 1\n", "a: ]\n", "plain\n", "'1'\n", "42\n", "true\n", "- 1\n",
	"%YAML 1.1\n---\na: yes\n", "%YAML 1.2\n---\na: yes\n", "--- {a: 1}\n", "---\na: 1\n...\n", "a: 1 # c\n# d\nb: 2\n", "{\"a\": 1, \"b\": [true, null, 1.0, 1e3]}\n", "{\"a\":\"b\"}\n", "{a: 1, b: }\n", "{a: b, c}\n",
	"a: \"multi\n  line\n\n  text\"\n", "a: 'multi\n  line'\n", "a:\n  b:\n    c: |\n      x\n       y\n\n  d: 1\n", "a: |\n\n  x\n", "a: >-\n  x\n   y\n  z\n", "a: |\n x\nb: 1\n", "a: # c\n  b: 1\n", "a:\n# c\n  b: 1\n", "\"a b\": 1\n", "a b: 1\n", "a-b/c.d: 1\n", "{a: 1, a: 2}\n", "a : 1\n", "a:1\n", "a: -1\nb: - 1\n", "a: !!map {b: 1}\n", "a: !!seq [1]\n", "!!str on: 1\n", "!!int \"1\": a\n", "a: &e\nb: *e\n",
}

type answer struct {
	Input  string  `json:"input"`
	Output *string `json:"output,omitempty"`
}

func main() {
	inputs := append([]string{}, documents...)
	for _, scalar := range scalars {
		inputs = append(inputs, "a: "+scalar+"\n")
	}
	var answers []answer
	for _, input := range inputs {
		entry := answer{Input: input}
		if output, err := yaml.YAMLToJSON([]byte(input)); err == nil {
			text := string(output)
			entry.Output = &text
		}
		answers = append(answers, entry)
	}
	data, err := json.MarshalIndent(answers, "", " ")
	if err == nil {
		err = os.WriteFile(os.Args[1], append(data, '\n'), 0o644)
	}
	if err != nil {
		panic(err)
	}
}
