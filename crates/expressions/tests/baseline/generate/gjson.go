package main

import (
	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"
)

func init() {
	generators = append(generators,
		generator{"gjson", "github.com/tidwall/gjson", gjsonCases},
		generator{"sjson", "github.com/tidwall/sjson", sjsonCases})
}

type gjsonCase struct {
	Document string `json:"document"`
	Path     string `json:"path"`
	Value    any    `json:"value,omitempty"`
}

type found struct {
	Raw  string `json:"raw"`
	Text string `json:"text"`
}

func gjsonCases() []any {
	var out []any
	for _, group := range gjsonGroups {
		for _, path := range group.paths {
			c := gjsonCase{Document: group.document, Path: path}
			value, err := guarded(func() (any, error) {
				r := gjson.Get(group.document, path)
				if !r.Exists() {
					return nil, nil
				}
				return found{r.Raw, r.String()}, nil
			})
			if err == nil && value != nil {
				c.Value = value
			}
			out = append(out, c)
		}
	}
	return out
}

var gjsonGroups = []struct {
	document string
	paths    []string
}{
	{`{"body":{"ref":"refs/heads/main","size":2,"ok":true,"none":null,"rate":1.250,"big":12345678901234567890,"exp":1e3,"list":["a","b","c"],"commits":[{"id":"c1","author":{"name":"Ann"},"n":1,"files":["x","y"]},{"id":"c2","author":{"name":"Bob"},"n":20,"files":[]},{"id":"c3","author":{"name":"Ann"},"n":3.5,"draft":true}],"a.b":"dotted","a*b":"star","empty":{},"text":"say \"hi\" \u00e4\n"},"headers":{"X-Event":["push"],"X-Id":["7"]}}`, []string{
		"body.ref", "body.size", "body.ok", "body.none", "body.rate", "body.big", "body.exp", "body.text", "body.missing", "missing.deep", "body.ref.deep",
		"headers.X-Event.0", "headers.X-Event.1", "headers.X-Event", "body.list", "body.list.1", "body.list.-1", "body.list.01", "body.list.x", "body.list.#", "body.commits.#", "body.size.#",
		`body.a\.b`, `body.a\*b`, "body.a*b", "body.l*t.0", "body.?ist.2", "*", "headers.*.0", "body.commits.0.author.name", "body.commits.#.id", "body.commits.#.author.name", "body.commits.#.draft", "body.commits.#.missing",
		"body.commits.#.files.0", "body.commits.#.files.#", `body.commits.#(id=="c2").n`, `body.commits.#(id="c2").n`, `body.commits.#(n>2).id`, `body.commits.#(n>2)#.id`, `body.commits.#(n>2)#`, `body.commits.#(n>100)#`, `body.commits.#(n>100)`,
		`body.commits.#(author.name=="Ann")#.id`, `body.commits.#(author.name!="Ann")#.id`, `body.commits.#(author.name%"A*")#.id`, `body.commits.#(author.name!%"A*")#.id`, `body.commits.#(draft).id`, `body.commits.#(draft==true).id`, `body.commits.#(draft==~false)#.id`, `body.commits.#(draft==~null)#.id`,
		`body.commits.#(n<=3.5)#|#`, `body.commits.#(n<=3.5)#|0.id`, `body.commits.#(n<=3.5)#.0`, `body.list.#(=="b")`, `body.list.#(>"a")#`, `body.list.#(%"[")`, `body.commits.#(files.#>0)#.id`, `body.commits.#(files.#(=="y")).id`, `body.commits.#.id|1`, `body.commits.#.files|@flatten`,
		"body|ref", "body.commits|0|id", "body.commits|@reverse|0|id", "body.commits.@reverse.0.id", "body.list.@reverse", "headers.@keys", "headers.@values", "headers.X-Id.0.@this", "body.list.@join", "body.commits.#.author.@join", "body.list.@tostr", "body.empty", "body.empty.@keys", "body.list.@unknown",
		"[body.ref,body.size]", "{body.ref,body.size}", `{"r":body.ref,"l":body.list.#}`, "body.[size,ok,missing]", "body.{size,ok}", "body.commits.#.{id,n}", "body.commits.#.[id,n]", `!"x"`, `{body.ref,"v":!1}`, `body.!true`,
		"", ".", "body.", ".body", "body..ref", "body.commits.", "#", "body.commits.#.", "body.commits.#(", "body.commits.#(n", "|", "body.@ugly", "body.commits.#(n==1)#.author|0.name", "body.commits.1.files.0", "body.commits.#(n=20).author.name", "body.commits.#(id==c2).n", "body.commits.#( n > 2 ).id",
	}},
	{`[1,"two",{"three":3},[4,[5]],null,false]`, []string{"0", "1", "2.three", "3.1.0", "4", "5", "6", "#", "#.three", "@flatten", `@flatten:{"deep":true}`, "@reverse", "@this.0", "three", "#(>=1)", "#(==false)", "#(==null)", "-1", "@keys"}},
	{`{"a":{"x":1},"b":[{"n":"p"},{"n":"q"}],"c":{"x":2,"y":{"z":3}}}`, []string{"*.0.n", "?.#", "*.#(n==\"q\").n", "?.y.z", "*.x", "*.missing", "*|0", "missing.{x,y}", "missing|[x]", "missing.deep.{x}", "a.missing|@keys", "a.x.@keys", "a.x.@values", "*.y|z"}},
	{`"text"`, []string{"@this", "0", "a", "@tostr", "#"}},
	{`{"json":"{\"a\":[1,2]}","bad":"{"}`, []string{"json.@fromstr.a.1", "bad.@fromstr", "json.@fromstr"}},
	{`{ "a" : [ 1 , { "b" : "c" } ] , "a" : 2 }`, []string{"a", "a.0", "a.1.b", "a.1"}},
	{`{"users":[{"name":"x","tags":["p","q"]},{"name":"y","tags":["q"]}]}`, []string{`users.#(tags.#(=="p"))#.name`, `users.#(name=="y").tags.0`, `users.#.tags.#(=="q")`, `users.#.tags|0|0`, `users.#.name`, `users.#(tags.0=="q").name`}},
}

type sjsonCase struct {
	Document string `json:"document"`
	Path     string `json:"path"`
	Action   string `json:"action"`
	Raw      string `json:"raw,omitempty"`
	Value    any    `json:"value,omitempty"`
	Error    string `json:"error,omitempty"`
}

func sjsonCases() []any {
	var out []any
	for _, c := range sjsonList {
		value, err := guarded(func() (any, error) {
			switch c.Action {
			case "delete":
				return sjson.Delete(c.Document, c.Path)
			case "string":
				return sjson.Set(c.Document, c.Path, c.Raw)
			}
			return sjson.SetRaw(c.Document, c.Path, c.Raw)
		})
		if err != nil {
			c.Error = err.Error()
		} else {
			c.Value = value
		}
		out = append(out, c)
	}
	return out
}

var sjsonList = []sjsonCase{
	{Document: `{}`, Path: "a", Action: "raw", Raw: `1`},
	{Document: ``, Path: "a", Action: "raw", Raw: `1`},
	{Document: ``, Path: "0", Action: "raw", Raw: `1`},
	{Document: ``, Path: "-1", Action: "raw", Raw: `1`},
	{Document: ``, Path: "2", Action: "raw", Raw: `1`},
	{Document: `{}`, Path: "a.b.c", Action: "raw", Raw: `true`},
	{Document: `{}`, Path: "a.0.b", Action: "raw", Raw: `true`},
	{Document: `{}`, Path: "a.2", Action: "raw", Raw: `true`},
	{Document: `{}`, Path: "a.-1", Action: "raw", Raw: `true`},
	{Document: `{}`, Path: "a.:1", Action: "raw", Raw: `true`},
	{Document: `{}`, Path: `a\.b`, Action: "raw", Raw: `true`},
	{Document: `{}`, Path: `metadata.annotations.example\.com/name`, Action: "string", Raw: `v`},
	{Document: `{"a":1,"b":2}`, Path: "a", Action: "raw", Raw: `{"x":[1]}`},
	{Document: `{"a":1,"b":2}`, Path: "b", Action: "string", Raw: `x"y`},
	{Document: `{"a":1,"b":2}`, Path: "c", Action: "string", Raw: `<b>&`},
	{Document: `{"a":1}`, Path: "a.b", Action: "raw", Raw: `2`},
	{Document: `{"a":"text"}`, Path: "a.0", Action: "raw", Raw: `2`},
	{Document: `{"a":null}`, Path: "a.b", Action: "raw", Raw: `2`},
	{Document: `{"a":[1,2,3]}`, Path: "a.1", Action: "raw", Raw: `9`},
	{Document: `{"a":[1,2,3]}`, Path: "a.-1", Action: "raw", Raw: `9`},
	{Document: `{"a":[1,2,3]}`, Path: "a.5", Action: "raw", Raw: `9`},
	{Document: `{"a":[1,2,3]}`, Path: "a.x", Action: "raw", Raw: `9`},
	{Document: `{"a":[{"b":1},{"b":2}]}`, Path: "a.1.b", Action: "raw", Raw: `9`},
	{Document: `{"a":[{"b":1},{"b":2}]}`, Path: "a.1.c.d", Action: "string", Raw: `9`},
	{Document: `{"a":[{"b":1}]}`, Path: "a.-1.b", Action: "raw", Raw: `9`},
	{Document: `{"0":1}`, Path: "0", Action: "raw", Raw: `9`},
	{Document: `[1,2]`, Path: "0", Action: "raw", Raw: `9`},
	{Document: `[1,2]`, Path: "-1", Action: "raw", Raw: `9`},
	{Document: `[]`, Path: "1.a", Action: "raw", Raw: `9`},
	{Document: `{"spec":{"arguments":{"parameters":[{"name":"m","value":"old"}]}}}`, Path: "spec.arguments.parameters.0.value", Action: "string", Raw: "new"},
	{Document: `{"a":1}`, Path: "", Action: "raw", Raw: `9`},
	{Document: `{"a":1}`, Path: "a.*", Action: "raw", Raw: `9`},
	{Document: `{"a":1}`, Path: "a.?", Action: "raw", Raw: `9`},
	{Document: `{"a":1}`, Path: "a|b", Action: "raw", Raw: `9`},
	{Document: `{"a":[1]}`, Path: "a.#", Action: "raw", Raw: `9`},
	{Document: `{"p":[{"n":"x","v":1},{"n":"y","v":2}]}`, Path: `p.#(n=="y").v`, Action: "raw", Raw: `9`},
	{Document: `{"p":[{"n":"x","v":1},{"n":"y","v":2}]}`, Path: `p.#(n=="z").v`, Action: "raw", Raw: `9`},
	{Document: `{"p":[{"n":"x","v":1},{"n":"y","v":2}]}`, Path: `p.#(n=="y").w`, Action: "raw", Raw: `9`},
	{Document: `{"abc":{"d":1}}`, Path: `a*.d`, Action: "string", Raw: `9`},
	{Document: `{"a":1,"b":{"c":2,"d":3}}`, Path: "a", Action: "delete"},
	{Document: `{"a":1,"b":{"c":2,"d":3}}`, Path: "b.c", Action: "delete"},
	{Document: `{"a":1,"b":{"c":2,"d":3}}`, Path: "b.x", Action: "delete"},
	{Document: `{"a":[1,2,3]}`, Path: "a.1", Action: "delete"},
	{Document: `{"a":[1,2,3]}`, Path: "a.-1", Action: "delete"},
	{Document: `{"a":[1,2,3]}`, Path: "a.9", Action: "delete"},
	{Document: `{"a":[{"b":1,"c":2}]}`, Path: "a.0.b", Action: "delete"},
	{Document: `{"a":[]}`, Path: "a.-1", Action: "delete"},
}
