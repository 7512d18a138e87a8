package main

import (
	"time"

	"github.com/Knetic/govaluate"
)

func init() {
	// Literal dates are read in local time.
	time.Local = time.UTC
	generators = append(generators, generator{"govaluate", "github.com/Knetic/govaluate", govaluateCases})
}

type govaluateCase struct {
	Expression string `json:"expression"`
	Value      any    `json:"value,omitempty"`
	Error      string `json:"error,omitempty"`
}

func govaluateCases() []any {
	variables := map[string]interface{}{
		"n": 5.0, "half": 0.5, "s": "text", "b": true, "no": false, "l": []interface{}{1.0, "a"}, "nothing": nil,
		"date": "2024-01-02", "spaced name": 1.0, "dash-ed": "x", "Action": "opened",
	}
	var out []any
	for _, text := range govaluateList {
		c := govaluateCase{Expression: text}
		value, err := guarded(func() (any, error) {
			e, err := govaluate.NewEvaluableExpression(text)
			if err != nil {
				return nil, err
			}
			return e.Evaluate(variables)
		})
		if err != nil {
			c.Error = err.Error()
		} else {
			c.Value = canonical(value)
		}
		out = append(out, c)
	}
	return out
}

var govaluateList = []string{
	`1 + 2 * 3`, `(1 + 2) * 3`, `10 - 2 - 3`, `100 / 10 / 2`, `7 % 4`, `7.5 % 2`, `2 ** 3 ** 2`, `-2 ** 2`, `2 ** -1`, `1 / 0`, `-n`, `- n`, `-(n + 1)`, `~5`, `!b`, `!no && b`,
	`n > 3`, `n >= 5`, `n < 5`, `n <= 5`, `n == 5`, `n != 5`, `n == '5'`, `s == 'text'`, `s == "text"`, `s != 'x'`, `s > 'a'`, `s > 5`, `b == true`, `b > no`, `nothing == 5`, `nothing != 5`,
	`n > 3 && s == 'text'`, `n > 9 || b`, `no || no && b`, `b || no && no`, `no && missing`, `b || missing`, `b && missing`, `n && b`, `b && n`, `no && n`, `missing > 1`, `1 < 2 == true`, `1 == 1 == true`,
	`s =~ '^te'`, `s =~ 'x$'`, `s !~ '^te'`, `s =~ '['`, `n =~ '5'`, `s =~ n`, `Action =~ 'opened|closed'`, `s =~ s`,
	`n in (1, 5)`, `n in (1, 2, 3)`, `s in ('text', 'b')`, `s in ("a", 5)`, `n in (5)`, `n in l`, `1 in l`, `'a' in l`, `n IN (5, 6)`, `!(n in (1, 2))`, `n in ()`, `(1, 2)`, `1, 2`, `((1, 2), 3)`, `n in (1, (5, 6))`,
	`b ? 'yes' : 'no'`, `no ? 'yes' : 'no'`, `n > 3 ? 1 : 2`, `no ? 1 : no ? 2 : 3`, `b ? no ? 1 : 2 : 3`, `no ? 1`, `b ? 1`, `n ? 1 : 2`, `nothing ?? 7`, `n ?? 7`, `nothing ?? nothing ?? 8`, `no ? missing : 1`, `b ? 1 : missing`, `b ? nothing : 4`,
	`6 & 3`, `6 | 3`, `6 ^ 3`, `1 << 4`, `256 >> 4`, `1 + 1 << 2`, `6 & 3 == 2`, `5 & 3 | 8`, `7.9 & 3`, `-1 >> 60`,
	`'a' + 'b'`, `'a' + 1`, `1 + 'a'`, `'a' + b`, `'a' + 1.5`, `'x' + 1000000`, `b + b`, `'a' - 'b'`, `n + s`, `-s`, `!n`, `~b`,
	`'2024-01-02' > '2024-01-01'`, `'2024-01-02'`, `'2024-01-02 15:04:05'`, `'2024-01-02T15:04:05Z'`, `'3:04PM'`, `date == '2024-01-02'`, `date > '2024-01-01'`, `'2024-13-02'`, `'Mon Jan  2 15:04:05 2006'`,
	`[spaced name] + 1`, `[dash-ed] == 'x'`, `dash\-ed == 'x'`, `[missing one]`, `[open`, `'open`, `'it\'s'`, `"mixed'`, `'back\\slash'`, `'tab\t'`, `"a b"`, `''`,
	``, ` `, `()`, `(n`, `n)`, `n +`, `+ n`, `n n`, `n 5`, `5 n`, `== 5`, `n == == 5`, `n = 5`, `n === 5`, `n <> 5`, `@n`, `n; b`, `n > 3 and b`, `1e3`, `1.2.3`, `.5`, `5.`, `true`, `false`, `TRUE`, `True`, `null`, `nil`, `foo(1)`, `n.field`, `n[0]`,
	`true == true`, `'a' == 'a' && 1 == 1`, `1 == 1.0`, `0.1 + 0.2`, `10 % 0`, `1,`, `, 1`, `n > (3`, `((n)) > 3`, `  n   >   3  `, "n\n>\t3", `n ?? s == 'text'`, `no || n > 3 && s =~ 'e' && !(b == no)`, `half * 2 == 1`, `n == 5 ? s : 'x' + 'y'`,
}
