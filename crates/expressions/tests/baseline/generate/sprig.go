package main

import (
	"bytes"
	"encoding/json"
	"text/template"
	"time"

	"github.com/Masterminds/sprig/v3"
)

func init() {
	time.Local = time.UTC
	generators = append(generators, generator{"sprig", "github.com/Masterminds/sprig/v3", sprigCases})
}

type sprigCase struct {
	Template string `json:"template"`
	Value    any    `json:"value,omitempty"`
	Error    string `json:"error,omitempty"`
}

const sprigData = `{"Input":{"name":"guest book","n":5,"big":1000000,"half":0.5,"neg":-3,"yes":true,"no":false,"none":null,"empty":"","list":["c","a","b","a"],"nums":[3,1,2],"map":{"k":"v","z":{"y":"x"}},"text":"line one\nline two","html":"<a href=\"x\">&</a>","camel":"HTTPServerName","date":"2024-02-29","objects":[{"id":1,"t":"p"},{"id":2,"t":"q"}]},"value":"plain"}`

func sprigCases() []any {
	var out []any
	for _, text := range sprigList {
		c := sprigCase{Template: text}
		value, err := guarded(func() (any, error) {
			var data any
			if err := json.Unmarshal([]byte(sprigData), &data); err != nil {
				return nil, err
			}
			t, err := template.New("template").Funcs(sprig.TxtFuncMap()).Parse(text)
			if err != nil {
				return nil, err
			}
			var b bytes.Buffer
			if err := t.Execute(&b, data); err != nil {
				return nil, err
			}
			return b.String(), nil
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

var sprigList = []string{
	// The template language.
	`plain`, `{{ .Input.name }}`, `{{ .Input.n }}`, `{{ .Input.big }}`, `{{ .Input.half }}`, `{{ .Input.missing }}`, `{{ .Input.missing.deep }}`, `{{ .Input.none }}`, `{{ .Input.map }}`, `{{ .Input.list }}`, `{{ .missing }}`, `{{ .value }}`,
	`{{ .Input.name.deep }}`, `{{ index .Input.list 1 }}`, `{{ index .Input.list 9 }}`, `{{ index .Input.map "k" }}`, `{{ index .Input "name" }}`, `{{ (index .Input.objects 1).t }}`, `{{ len .Input.list }}`, `{{ len .Input.name }}`,
	`{{ if .Input.yes }}a{{ else }}b{{ end }}`, `{{ if .Input.missing }}a{{ else if .Input.n }}b{{ end }}`, `{{ range .Input.list }}[{{ . }}]{{ end }}`, `{{ range $i, $v := .Input.nums }}{{ $i }}={{ $v }};{{ end }}`, `{{ range $k, $v := .Input.map }}{{ $k }} {{ end }}`, `{{ range .Input.none }}x{{ else }}none{{ end }}`,
	`{{ with .Input.map }}{{ .k }}{{ end }}`, `{{ $x := .Input.n }}{{ $x }}`, `{{- " a " -}} b`, `{{ "a" }} {{- /* note */ -}} {{ "b" }}`, `{{ printf "%s-%v-%d" .Input.name .Input.n 7 }}`, `{{ printf "%q %5.2f|%-5s|%05d" "x" 3.14159 "ab" 42 }}`, `{{ printf "%t %v %T" true nil "s" }}`, `{{ print 1 2 "a" "b" 3 }}`, `{{ println "a" }}`,
	`{{ eq .Input.n 5 }}`, `{{ eq .Input.n 5.0 }}`, `{{ eq .Input.name "guest book" }}`, `{{ ne .Input.name "x" }}`, `{{ lt 1 2 }}`, `{{ gt .Input.n 3.0 }}`, `{{ and .Input.yes .Input.n }}`, `{{ or .Input.no "x" }}`, `{{ not .Input.no }}`, `{{ eq "a" "b" "a" }}`, `{{ html .Input.html }}`, `{{ js "it's" }}`, `{{ urlquery "a b&c" }}`, `{{ slice "hello" 1 3 }}`,
	`{{ define "t" }}<{{ . }}>{{ end }}{{ template "t" .Input.name }}`, `{{ block "b" .Input.n }}{{ . }}{{ end }}`, `{{ range .Input.nums }}{{ if eq . 1.0 }}{{ continue }}{{ end }}{{ . }}{{ end }}`, `{{ range .Input.nums }}{{ if eq . 1.0 }}{{ break }}{{ end }}{{ . }}{{ end }}`, `{{ nosuch 1 }}`, `{{ .Input.name`, `{{ end }}`, `{{ "unclosed }}`, `{{ $y }}`, `{{ 1 | printf "%d" }}`, `{{ true }}{{ nil | print }}`, "{{ `raw` }}", `{{ 'a' }}`, `{{ 0x10 }}`, `{{ 1e3 }}`,
	// Text.
	`{{ upper .Input.name }}`, `{{ .Input.name | lower | title }}`, `{{ title "hello wORLD-foo_bar 'x" }}`, `{{ untitle "First Try" }}`, `{{ trim "  x " }}`, `{{ trimAll "$" "$5.00$" }}`, `{{ trimPrefix "v" "v1.2" }}`, `{{ trimSuffix ".git" "r.git" }}`, `{{ nospace "a b\tc" }}`, `{{ initials "First Try now" }}`, `{{ swapcase "aBc" }}`,
	`{{ repeat 3 "ab" }}`, `{{ repeat 0 "ab" }}`, `{{ repeat -1 "ab" }}`, `{{ substr 0 3 "hello" }}`, `{{ substr 2 -1 "hello" }}`, `{{ substr -1 2 "hello" }}`, `{{ substr 1 99 "hello" }}`, `{{ substr 9 10 "hello" }}`, `{{ trunc 3 "hello" }}`, `{{ trunc -3 "hello" }}`, `{{ trunc 9 "hello" }}`, `{{ trunc -9 "hello" }}`, `{{ trunc 0 "hello" }}`,
	`{{ abbrev 5 "hello world" }}`, `{{ abbrev 3 "hello" }}`, `{{ abbrevboth 5 10 "1234 5678 9123" }}`, `{{ contains "es" .Input.name }}`, `{{ hasPrefix "gu" .Input.name }}`, `{{ hasSuffix "ok" .Input.name }}`, `{{ replace " " "-" .Input.name }}`, `{{ quote .Input.name }}`, `{{ quote 5 .Input.none "a\"b" }}`, `{{ squote .Input.name 1 }}`, `{{ cat "a" 1 true .Input.none }}`, `{{ indent 2 .Input.text }}`, `{{ nindent 2 .Input.text }}`, `{{ plural "one" "many" 1 }}`, `{{ plural "one" "many" (len .Input.list) }}`,
	`{{ snakecase "FirstName" }}`, `{{ snakecase .Input.camel }}`, `{{ snakecase "some words-here" }}`, `{{ kebabcase "FirstName" }}`, `{{ kebabcase "aB2c" }}`, `{{ camelcase "http_server" }}`, `{{ camelcase "first-name" }}`, `{{ snakecase "http2xx" }}`, `{{ camelcase "FOO_BAR" }}`, `{{ wrap 10 "the quick brown fox jumps" }}`, `{{ wrapWith 5 "|" "the quickest brown" }}`, `{{ wrap 3 "abcdefgh ij" }}`, `{{ toString .Input.n }}`, `{{ toString true }}`, `{{ upper 5 }}`, `{{ upper .Input.missing }}`, `{{ upper .Input.n }}`,
	`{{ splitList "," "a,b,c" }}`, `{{ (split "," "a,b").\_1 }}`, `{{ (split "," "a,b")._1 }}`, `{{ (splitn "," 2 "a,b,c")._1 }}`, `{{ splitList "" "abc" | join "-" }}`, `{{ join "," .Input.list }}`, `{{ join "," .Input.nums }}`, `{{ join "," "x" }}`, `{{ toStrings .Input.nums }}`, `{{ sortAlpha .Input.list | join "," }}`, `{{ base "/a/b.txt" }} {{ dir "/a/b.txt" }} {{ ext "/a/b.txt" }} {{ clean "/a/../b//c/." }} {{ isAbs "/a" }}`, `{{ base "" }}|{{ dir "" }}|{{ clean "" }}|{{ ext "a" }}|{{ dir "a" }}`,
	// Numbers.
	`{{ add 1 2 3 }}`, `{{ add .Input.n 1 }}`, `{{ add "5" 1 }}`, `{{ add1 5 }}`, `{{ sub 5 7 }}`, `{{ mul 2 3 4 }}`, `{{ div 7 2 }}`, `{{ div -7 2 }}`, `{{ div 1 0 }}`, `{{ mod 7 3 }}`, `{{ mod -7 3 }}`, `{{ max 1 5 3 }}`, `{{ min 4 2 3 }}`, `{{ biggest 1 2 }}`, `{{ maxf 1.5 2 }}`, `{{ minf 1.5 2 }}`, `{{ ceil 1.2 }}`, `{{ floor -1.2 }}`, `{{ round 123.5555 3 }}`, `{{ round 2.5 0 }}`, `{{ round 123.4444 2 0.3 }}`,
	`{{ addf 0.1 0.2 }}`, `{{ subf 1.5 0.3 }}`, `{{ mulf 1.1 3 }}`, `{{ divf 10 3 }}`, `{{ divf 1 0 }}`, `{{ add1f 1.5 }}`, `{{ addf .Input.n .Input.half }}`, `{{ int 3.9 }}`, `{{ int "12" }}`, `{{ int "0x1f" }}`, `{{ int "010" }}`, `{{ int "x" }}`, `{{ int64 .Input.big }}`, `{{ float64 "1.5" }}`, `{{ atoi "42" }}`, `{{ atoi "4x" }}`, `{{ toDecimal "0777" }}`, `{{ until 4 }}`, `{{ until -2 }}`, `{{ untilStep 0 10 3 }}`, `{{ untilStep 3 0 -1 }}`, `{{ seq 3 }}`, `{{ seq 2 5 }}`, `{{ seq 0 2 6 }}`, `{{ seq 3 -1 1 }}`, `{{ seq }}`, `{{ int "3.0" }}`, `{{ int "3.5" }}`, `{{ int true }}`, `{{ int nil }}`,
	// Defaults, types, lists, dictionaries.
	`{{ default "d" .Input.missing }}`, `{{ default "d" .Input.empty }}`, `{{ .Input.name | default "d" }}`, `{{ default 3 0 }}`, `{{ default "d" }}`, `{{ empty .Input.list }}`, `{{ empty 0.0 }}`, `{{ empty .Input.none }}`, `{{ coalesce .Input.empty 0 "x" "y" }}`, `{{ coalesce }}`, `{{ all 1 "a" }}`, `{{ all 1 "" }}`, `{{ any 0 "" }}`, `{{ any }}`, `{{ ternary "y" "n" true }}`, `{{ true | ternary "y" "n" }}`, `{{ ternary "y" "n" "x" }}`, `{{ typeOf .Input.n }} {{ typeOf "s" }} {{ typeOf .Input.map }} {{ typeOf .Input.list }} {{ typeOf 1 }}`, `{{ kindOf .Input.n }} {{ kindOf "s" }} {{ kindOf .Input.map }} {{ kindOf .Input.list }}`, `{{ typeIs "string" "x" }}`, `{{ kindIs "map" .Input.map }}`, `{{ deepEqual .Input.list .Input.list }}`, `{{ deepEqual 1 1.0 }}`, `{{ fail "no way" }}`,
	`{{ list 1 "a" true }}`, `{{ list }}`, `{{ append .Input.list "d" }}`, `{{ prepend .Input.list "d" }}`, `{{ first .Input.list }}{{ last .Input.list }}`, `{{ rest .Input.list }}{{ initial .Input.list }}`, `{{ first list }}`, `{{ reverse .Input.list }}`, `{{ uniq .Input.list }}`, `{{ without .Input.list "a" }}`, `{{ has "a" .Input.list }}`, `{{ has 3 .Input.nums }}`, `{{ has 3.0 .Input.nums }}`, `{{ has "a" .Input.none }}`, `{{ compact (list 1 "" 0 "a") }}`, `{{ slice (list 1 2 3 4) 1 3 }}`, `{{ concat .Input.list (list 1) }}`, `{{ chunk 2 .Input.list }}`, `{{ chunk 3 (list 1 2 3 4 5 6) }}`, `{{ first "abc" }}`, `{{ append "x" 1 }}`,
	`{{ dict "a" 1 "b" }}`, `{{ get (dict "a" 1) "a" }}|{{ get (dict) "a" }}`, `{{ hasKey .Input.map "k" }}`, `{{ keys (dict "a" 1) }}`, `{{ values (dict "a" 1) }}`, `{{ pluck "t" (index .Input.objects 0) (index .Input.objects 1) }}`, `{{ pick .Input.map "k" }}`, `{{ omit .Input.map "k" }}`, `{{ merge (dict "a" 1) (dict "a" 2 "b" 3) }}`, `{{ mergeOverwrite (dict "a" 1) (dict "a" 2 "b" 3) }}`, `{{ merge (dict "a" (dict "x" 1)) (dict "a" (dict "y" 2)) }}`, `{{ set (dict "a" 1) "b" 2 }}`, `{{ unset (dict "a" 1) "a" }}`, `{{ dig "z" "y" "d" .Input.map }}`, `{{ dig "z" "q" "d" .Input.map }}`, `{{ dig "k" "q" "d" .Input.map }}`, `{{ $d := dict "a" 1 }}{{ $_ := set $d "b" 2 }}{{ $d }}`, `{{ deepCopy .Input.map }}`, `{{ hasKey "x" "k" }}`,
	// Encodings.
	`{{ b64enc "héllo" }}`, `{{ b64dec "aGk=" }}`, `{{ b32enc "hi" }}`, `{{ b32dec "NBUQ====" }}`, `{{ sha256sum "a" }}`, `{{ sha1sum "The quick brown fox jumps over the lazy dog" }}`, `{{ sha512sum "a" }}`, `{{ adler32sum "Wikipedia" }}`, `{{ toJson .Input.map }}`, `{{ toJson .Input.html }}`, `{{ toRawJson .Input.html }}`, `{{ toPrettyJson .Input.map }}`, `{{ toJson .Input.big }}`, `{{ toJson (list 1 1.5 nil) }}`, `{{ (fromJson "{\"a\":[1,2]}").a }}`, `{{ fromJson "x" }}`, `{{ mustFromJson "x" }}`, `{{ .Input | toJson }}`, `{{ toJson 1e21 }} {{ toJson 1e-7 }} {{ toJson 0.000001 }}`,
	// Regular expressions.
	`{{ regexMatch "^g.*k$" .Input.name }}`, `{{ regexFind "[a-z]+" "123abc" }}`, `{{ regexFindAll "[0-9]" "1a2b3" -1 }}`, `{{ regexFindAll "[0-9]" "1a2b3" 2 }}`, `{{ regexReplaceAll "a(x*)b" "-ab-axxb-" "${1}W" }}`, `{{ regexReplaceAll "a(x*)b" "-ab-axxb-" "$1W" }}`, `{{ regexReplaceAllLiteral "a(x*)b" "-ab-axxb-" "${1}" }}`, `{{ regexSplit "z+" "pizza" -1 }}`, `{{ regexSplit "z" "pizza" 2 }}`, `{{ regexSplit "" "abc" -1 }}`, `{{ regexQuoteMeta "1.2+3" }}`, `{{ regexMatch "[" "x" }}`, `{{ mustRegexMatch "[" "x" }}`, `{{ regexFindAll "a*" "baac" -1 | toJson }}`, `{{ regexSplit "a*" "baac" -1 | toJson }}`,
	// Dates.
	`{{ date "2006-01-02" 1709164800 }}`, `{{ dateInZone "2006-01-02T15:04:05Z07:00" 1709164800 "Europe/Berlin" }}`, `{{ dateInZone "15:04 MST" 1709164800 "Nowhere" }}`, `{{ htmlDate 1709164800 }}`, `{{ htmlDateInZone 1709164800 "Asia/Tokyo" }}`, `{{ toDate "2006-01-02" .Input.date | date "02.01.2006" }}`, `{{ toDate "2006-01-02" .Input.date | unixEpoch }}`, `{{ toDate "2006-01-02" .Input.date | dateModify "-24h" | date "2006-01-02" }}`, `{{ toDate "2006-01-02" "x" | date "2006-01-02" }}`, `{{ mustToDate "2006-01-02" "x" }}`, `{{ duration "95" }}`, `{{ duration 3600 }}`, `{{ durationRound "2h10m5s" }}`, `{{ durationRound "2400h" }}`, `{{ durationRound 1000 }}`, `{{ toDate "2006-01-02" .Input.date | date "Monday, Jan _2 3:04PM" }}`, `{{ toDate "2006-01-02" .Input.date }}`, `{{ mustDateModify "x" (toDate "2006-01-02" .Input.date) }}`, `{{ unixEpoch 5 }}`,
}
