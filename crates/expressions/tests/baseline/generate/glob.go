package main

import "github.com/gobwas/glob"

func init() {
	generators = append(generators, generator{"glob", "github.com/gobwas/glob", globCases})
}

type globCase struct {
	Pattern    string `json:"pattern"`
	Separators string `json:"separators"`
	Text       string `json:"text"`
	Value      any    `json:"value,omitempty"`
	Error      string `json:"error,omitempty"`
}

func globCases() []any {
	var out []any
	for _, c := range globList {
		for _, text := range c.texts {
			g := globCase{Pattern: c.pattern, Separators: c.separators, Text: text}
			value, err := guarded(func() (any, error) {
				compiled, err := glob.Compile(c.pattern, []rune(c.separators)...)
				if err != nil {
					return nil, err
				}
				return compiled.Match(text), nil
			})
			if err != nil {
				g.Error = err.Error()
			} else {
				g.Value = value
			}
			out = append(out, g)
		}
	}
	return out
}

var globList = []struct {
	pattern, separators string
	texts               []string
}{
	{"*", "", []string{"", "a", "a/b"}}, {"*", "/", []string{"", "a", "a/b"}}, {"**", "/", []string{"", "a/b"}}, {"a*c", "", []string{"ac", "abc", "a/c", "abcd"}}, {"a**c", "/", []string{"ac", "a/b/c"}}, {"a?c", "/", []string{"abc", "a/c", "ac"}},
	{"https://github.com/org/*", "/", []string{"https://github.com/org/app", "https://github.com/org/app/x", "https://github.com/other/app"}}, {"https://*.example.com", "/", []string{"https://a.example.com", "https://a.b.example.com"}}, {"https://*.example.com", "/.", []string{"https://a.example.com", "https://a.b.example.com"}},
	{"[abc]", "", []string{"a", "d", "ab"}}, {"[a-c]x", "", []string{"bx", "dx"}}, {"[!a-c]", "", []string{"d", "a"}}, {"[!abc]", "", []string{"d", "a"}}, {"{a,b*}c", "", []string{"ac", "bxc", "c"}}, {"{a,{b,c}d}", "", []string{"a", "bd", "cd", "b"}}, {"{,a}b", "", []string{"b", "ab"}}, {`\*a`, "", []string{"*a", "xa"}}, {`a\{b`, "", []string{"a{b"}},
	{"team-*-{dev,prod}", "", []string{"team-x-dev", "team-x-y-prod", "team-x-test"}}, {"a,b", "", []string{"a,b"}}, {"a}b", "", []string{"a}b"}}, {"a]b", "", []string{"a]b"}}, {"!a", "", []string{"!a", "b"}}, {"a.b", "", []string{"a.b", "axb"}}, {"(a|b)", "", []string{"(a|b)", "a"}}, {"", "", []string{"", "a"}}, {"a[", "", []string{"a["}}, {"{a", "", []string{"{a"}}, {"[z-a]", "", []string{"b"}}, {"[]", "", []string{""}}, {"***", "/", []string{"a/b"}}, {"ü*", "", []string{"üx"}}, {"[ü]", "", []string{"ü"}}, {"a\\", "", []string{"a\\", "a"}}, {"[a-z0]", "", []string{"0", "b"}}, {"[!]", "", []string{"!"}}, {"[a\\]]", "", []string{"]"}}, {"[a-]", "", []string{"-", "a"}},
}
