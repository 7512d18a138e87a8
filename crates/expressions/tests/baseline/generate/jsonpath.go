package main

import (
	"encoding/json"
	"errors"

	"k8s.io/client-go/util/jsonpath"
)

func init() {
	generators = append(generators, generator{"jsonpath", "k8s.io/client-go", jsonpathCases})
}

type jsonpathCase struct {
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
	Error string `json:"error,omitempty"`
}

const jsonpathData = `{"a":{"b":[1,2,3],"k.x":"dotted","list":[{"name":"x","v":1.5,"ok":true},{"name":"y","v":2.5},{"name":"z","v":3.5,"deep":{"name":"w"}}]},"s":"text","n":null,"t":true,"m":{"one":{"id":"1"}},"items":[{"metadata":{"labels":{"app.kubernetes.io/name":"p"}}}],"empty":[]}`

func jsonpathCases() []any {
	var out []any
	for _, path := range jsonpathList {
		c := jsonpathCase{Path: path}
		value, err := guarded(func() (any, error) {
			var data any
			if err := json.Unmarshal([]byte(jsonpathData), &data); err != nil {
				return nil, err
			}
			j := jsonpath.New("path")
			if err := j.Parse(path); err != nil {
				return nil, err
			}
			groups, err := j.FindResults(data)
			if err != nil {
				return nil, err
			}
			if len(groups) != 1 {
				return nil, errors.New("not one expression")
			}
			found := []any{}
			for _, v := range groups[0] {
				found = append(found, v.Interface())
			}
			return found, nil
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

var jsonpathList = []string{
	`{$}`, `{.}`, `{@}`, `{$.s}`, `{.s}`, `{.a.b}`, `{.a.b[0]}`, `{.a.b[2]}`, `{.a.b[3]}`, `{.a.b[-1]}`, `{.a.b[-3]}`, `{.a.b[-4]}`, `{.a.b[*]}`, `{.a.b[0:2]}`, `{.a.b[1:]}`, `{.a.b[:1]}`, `{.a.b[0:3:2]}`, `{.a.b[0:9]}`, `{.a.b[-2:]}`, `{.a.b[0,2]}`, `{.a.b[2:1]}`, `{.a.b[1:1]}`,
	`{.a['k.x']}`, `{.a["k.x"]}`, `{.a.k\.x}`, `{$['a']['b'][1]}`, `{.a['b','k.x']}`, `{.missing}`, `{.a.missing}`, `{.s.deep}`, `{.s[0]}`, `{.n}`, `{.n.x}`, `{.t}`, `{.m.*.id}`, `{.m.*}`, `{.m[*].id}`, `{.empty}`, `{.empty[0]}`, `{.empty[*]}`,
	`{.a.list[*].name}`, `{.a.list[*].ok}`, `{.a.list[*].nope}`, `{.a.list[?(@.name=="x")].v}`, `{.a.list[?(@.name=='y')].v}`, `{.a.list[?(@.name!="x")].name}`, `{.a.list[?(@.v>1.6)].name}`, `{.a.list[?(@.v<=2.5)].name}`, `{.a.list[?(@.v==1.5)].name}`, `{.a.list[?(@.ok)].name}`, `{.a.list[?(@.deep.name=="w")].name}`, `{.a.list[?(@.deep)].name}`, `{.a.list[?(@.ok==true)].name}`, `{.a.list[?(@.name==@.name)].v}`, `{.a.list[?(@.name=="none")].v}`, `{.a.list[?(@.name=="none")]}`, `{.a.list[0].v}`, `{.a.list[?(@.v>2)].name}`,
	`{..id}`, `{..nope}`, `{.items[0].metadata.labels.app\.kubernetes\.io/name}`, `{.items[0].metadata.labels['app\.kubernetes\.io/name']}`, `{.items[0].metadata.labels['app.kubernetes.io/name']}`, `{.items[*].metadata.labels}`,
	`{.a.b[}`, `{.a.b`, `{.a.b]}`, `{.a.list[?(@.name=="x"]}`, `{.a.list[?()]}`, `{.a.b[x]}`, `{.a.b[1.5]}`, `{}`, `{.a.b[0:3:0]}`, `{.a b}`, `{.s.}`, `{['s']}`, `{$s}`, `{.a.list[?(@.name > "x")].name}`, `{ .s }`,
}
