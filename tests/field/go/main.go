// A WebSocket peer made of gorilla/websocket or of nhooyr.io/websocket, both with compression. README.md beside this folder
// defines the roles.
package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
)

// connection is an open connection of either library.
type connection interface {
	send(text bool, payload []byte) error
	receive() (text bool, payload []byte, err error)
	close() error
}

type message struct {
	text    bool
	payload []byte
}

func messages() []message {
	json := strings.Repeat(`{"name": "Ada", "says": "Grüße, 世界! 🦀"}, `, 2000)
	binary := make([]byte, 1<<20)
	for i := range binary {
		binary[i] = byte(i * 31 % 251)
	}
	noise := make([]byte, 100_000)
	state := uint32(7692)
	for i := range noise {
		state = state*1664525 + 1013904223
		noise[i] = byte(state >> 24)
	}
	list := []message{{true, []byte("hello")}, {true, nil}, {true, []byte(json)}, {false, binary}, {false, noise}}
	return append(list, list...)
}

// exchange sends messages to an echoing peer and compares what comes back.
func exchange(c connection) error {
	for number, sent := range messages() {
		if err := c.send(sent.text, sent.payload); err != nil {
			return fmt.Errorf("message %d: %w", number, err)
		}
		text, payload, err := c.receive()
		if err != nil {
			return fmt.Errorf("echo %d: %w", number, err)
		}
		if text != sent.text || !bytes.Equal(payload, sent.payload) {
			return fmt.Errorf("echo %d of %d bytes has %d, or differs", number, len(sent.payload), len(payload))
		}
	}
	return c.close()
}

// drive serves one connection.
func drive(accept func(http.ResponseWriter, *http.Request) (connection, error)) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("listening on ws://%s/\n", listener.Addr())
	result := make(chan error)
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := accept(w, r)
		if err == nil {
			err = exchange(c)
		}
		result <- err
	}))
	return <-result
}

func run(arguments []string) error {
	switch strings.Join(arguments[:2], " ") {
	case "gorilla drive":
		return drive(acceptGorilla)
	case "nhooyr drive":
		return drive(acceptNhooyr(arguments[2]))
	case "nhooyr visit":
		c, err := dialNhooyr(arguments[2], arguments[3])
		if err != nil {
			return err
		}
		return exchange(c)
	}
	return fmt.Errorf("no such peer or role: %q", arguments)
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
