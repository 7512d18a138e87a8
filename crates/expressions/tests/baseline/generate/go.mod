module baseline

go 1.24

require (
	github.com/Knetic/govaluate v3.0.0+incompatible
	github.com/expr-lang/expr v1.17.8
	github.com/tidwall/gjson v1.20.1
	github.com/tidwall/sjson v1.2.7
)

require (
	github.com/tidwall/match v1.1.1 // indirect
	github.com/tidwall/pretty v1.2.0 // indirect
)
