// Program baseline asks the Go libraries that Argo uses and records their answers.
//
// Usage: go run . [language...]   (writes ../<language>.json; all languages without argument)
//
// The Rust tests read the records only; this program is run by hand when cases are added.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
)

// record is the shape of every file.
type record struct {
	Command string `json:"command"`
	Library string `json:"library"`
	Cases   []any  `json:"cases"`
}

type generator struct {
	name   string
	module string
	cases  func() []any
}

var generators []generator

func main() {
	wanted := map[string]bool{}
	for _, name := range os.Args[1:] {
		wanted[name] = true
	}
	for _, g := range generators {
		if len(wanted) > 0 && !wanted[g.name] {
			continue
		}
		out := record{
			Command: "cd generate && go run . " + g.name,
			Library: versions(g.module),
			Cases:   g.cases(),
		}
		var text bytes.Buffer
		text.WriteString(fmt.Sprintf("{\n\"command\": %q,\n\"library\": %q,\n\"cases\": [\n", out.Command, out.Library))
		for i, c := range out.Cases {
			var line bytes.Buffer
			enc := json.NewEncoder(&line)
			enc.SetEscapeHTML(false)
			if err := enc.Encode(c); err != nil {
				panic(err)
			}
			text.Write(bytes.TrimRight(line.Bytes(), "\n"))
			if i+1 < len(out.Cases) {
				text.WriteString(",")
			}
			text.WriteString("\n")
		}
		text.WriteString("]\n}\n")
		if err := os.WriteFile(filepath.Join("..", g.name+".json"), text.Bytes(), 0o644); err != nil {
			panic(err)
		}
		fmt.Printf("%s: %d cases\n", g.name, len(out.Cases))
	}
}

func versions(modules string) string {
	info, _ := debug.ReadBuildInfo()
	var found []string
	for _, name := range strings.Fields(modules) {
		for _, d := range info.Deps {
			if d.Path == name {
				found = append(found, d.Path+" "+d.Version)
			}
		}
	}
	return strings.Join(found, ", ")
}

// guarded turns a panic of a library into an error.
func guarded(run func() (any, error)) (value any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return run()
}
