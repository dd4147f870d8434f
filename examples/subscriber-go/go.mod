module subscriber

go 1.25.0

require (
	github.com/twmb/avro v1.9.0
	github.com/twmb/franz-go v1.21.7
	github.com/twmb/franz-go/pkg/sr v1.8.0
	go.etcd.io/bbolt v1.5.0
)

require (
	github.com/klauspost/compress v1.19.2 // indirect
	github.com/pierrec/lz4/v4 v4.1.26 // indirect
	github.com/twmb/franz-go/pkg/kmsg v1.13.1 // indirect
	golang.org/x/sys v0.45.0 // indirect
)
