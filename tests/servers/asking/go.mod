module asking

go 1.19

require (
	github.com/mochi-mqtt/server/v2 v2.3.0
	github.com/rs/zerolog v1.28.0
)

require (
	github.com/gorilla/websocket v1.5.0 // indirect
	github.com/mattn/go-colorable v0.1.12 // indirect
	github.com/mattn/go-isatty v0.0.14 // indirect
	github.com/rs/xid v1.4.0 // indirect
	golang.org/x/sys v0.5.0 // indirect
)
