module lakebed/remote

go 1.23.0

require github.com/prometheus/client_golang/exp v0.0.0-20250914183048-a974e0d45e0a

require (
	github.com/klauspost/compress v1.18.0 // indirect
	google.golang.org/protobuf v1.36.6 // indirect
)
