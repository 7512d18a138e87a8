// Records what Go and Kubernetes answer for durations and quantities.
//
//	cd crates/reconcile-core/tests/baseline/values/generate && go run . ..
package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

var durations = []string{
	"", "0", "+0", "-0", "0s", "1", "10", "-1", ".", ".s", "s", "-", "+", "1s", "+1s", "-1s", "1.", "1.s", ".5s", "1.5h",
	"1h30m", "1h30m10s", "1m1m", "1d", "1w", "1y", "1H", "1 s", " 1s", "1s ", "100ms", "1us", "1µs", "1μs", "1ns", "0.5ns",
	"1.0000000001s", "0.3333333333333333333h", "1e3s", "1.5.5s", "--1s", "9223372036854775807ns", "9223372036854775808ns",
	"-9223372036854775808ns", "-9223372036854775809ns", "2562047h47m16.854775807s", "2562047h47m16.854775808s",
	"9223372036s", "9223372037s", "99999999999999999999s", "0.9223372036854775807h", "3600s", "86400s", "90m", "1500ms",
	"1500us", "1h0.001s", "0.1s", "33.333us", "24h", "1m0s", "1x2s", "10minutes", "\"1s\"", "1s\n", "1µ", "5µsx",
}

var quantities = []string{
	"", "0", "0m", "-0", "1", "+1", "-1", "1.", ".5", ".", "0.1", "0.01", "0.001", "0.0001", "1000m", "1500m", "100m", "1n", "1u",
	"0.1n", "1.1n", "0.0000000001", "1k", "1K", "1000", "1000k", "1024", "1Ki", "1ki", "1024Ki", "1.5Ki", "0.5Ki", "0.1Ki", "1.1Ki",
	"1Mi", "1.5Mi", "1Gi", "1536Mi", "1Ti", "1Pi", "1Ei", "7Ei", "8Ei", "100Ei", "1M", "1G", "1T", "1P", "1E", "9E", "1e3", "1E3", "1e-3",
	"1.5e3", "12e6", "1e", "1ee3", "1e+3", "123456789", "1234567890123", "0.5Mi", "-1Ki", "-1500m", "1 Gi", " 1", "1Gi ", "Gi",
	"1.2.3", "1m1", "1GiB", "500Mi", "2048Mi", "1023", "1023Ki", "0.5", "0.25", "3.14159", "100", "10", "1000000", "1500000", "64Gi", "0Gi",
	"0.0Ki", "1e0", "10e1", "5e-9", "5e-10", "1e9", "1e18", "512", "1025", "1.024k", "999999999n", "1000000000n", "12345m",
}

type duration struct {
	Input string `json:"input"`
	Nanos int64  `json:"nanos"`
	Text  string `json:"text,omitempty"`
	Error string `json:"error,omitempty"`
}

type quantity struct {
	Input  string `json:"input"`
	Text   string `json:"text,omitempty"`
	Value  int64  `json:"value"`
	Milli  int64  `json:"milli"`
	Failed bool   `json:"failed,omitempty"`
}

func main() {
	folder := os.Args[1]
	var spans []duration
	for _, input := range durations {
		span, err := time.ParseDuration(input)
		if err != nil {
			spans = append(spans, duration{Input: input, Error: err.Error()})
			continue
		}
		spans = append(spans, duration{Input: input, Nanos: int64(span), Text: span.String()})
	}
	write(filepath.Join(folder, "durations.json"), spans)

	var amounts []quantity
	for _, input := range quantities {
		amount, err := resource.ParseQuantity(input)
		if err != nil {
			amounts = append(amounts, quantity{Input: input, Failed: true})
			continue
		}
		// String() may repeat the input (`+1`); the canonical form is what is compared.
		number, suffix := amount.CanonicalizeBytes(nil)
		text := string(number) + string(suffix)
		amounts = append(amounts, quantity{Input: input, Text: text, Value: amount.Value(), Milli: amount.MilliValue()})
	}
	write(filepath.Join(folder, "quantities.json"), amounts)
}

func write(path string, value any) {
	data, err := json.MarshalIndent(value, "", " ")
	if err == nil {
		err = os.WriteFile(path, append(data, '\n'), 0o644)
	}
	if err != nil {
		panic(err)
	}
}
