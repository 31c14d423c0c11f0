package main

import (
	"context"
	"fmt"
	"net/http"

	"nhooyr.io/websocket"
)

type nhooyr struct{ conn *websocket.Conn }

var nhooyrModes = map[string]websocket.CompressionMode{
	"takeover": websocket.CompressionContextTakeover,
	"alone":    websocket.CompressionNoContextTakeover,
}

func acceptNhooyr(mode string) func(http.ResponseWriter, *http.Request) (connection, error) {
	return func(w http.ResponseWriter, r *http.Request) (connection, error) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: nhooyrModes[mode]})
		return newNhooyr(conn), err
	}
}

func dialNhooyr(mode, url string) (connection, error) {
	options := websocket.DialOptions{CompressionMode: nhooyrModes[mode]}
	conn, response, err := websocket.Dial(context.Background(), url, &options)
	if err == nil && response.Header.Get("Sec-WebSocket-Extensions") == "" {
		err = fmt.Errorf("the server does not compress")
	}
	return newNhooyr(conn), err
}

func newNhooyr(conn *websocket.Conn) connection {
	if conn != nil {
		conn.SetReadLimit(2 << 20)
	}
	return nhooyr{conn}
}

func (n nhooyr) send(text bool, payload []byte) error {
	kind := websocket.MessageBinary
	if text {
		kind = websocket.MessageText
	}
	return n.conn.Write(context.Background(), kind, payload)
}

func (n nhooyr) receive() (bool, []byte, error) {
	kind, payload, err := n.conn.Read(context.Background())
	return kind == websocket.MessageText, payload, err
}

func (n nhooyr) close() error {
	return n.conn.Close(websocket.StatusNormalClosure, "")
}
