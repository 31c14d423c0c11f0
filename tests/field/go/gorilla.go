package main

import (
	"errors"
	"net/http"

	"github.com/gorilla/websocket"
)

type gorilla struct{ conn *websocket.Conn }

func acceptGorilla(w http.ResponseWriter, r *http.Request) (connection, error) {
	upgrader := websocket.Upgrader{EnableCompression: true}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return nil, err
	}
	return gorilla{conn}, nil
}

func (g gorilla) send(text bool, payload []byte) error {
	kind := websocket.BinaryMessage
	if text {
		kind = websocket.TextMessage
	}
	return g.conn.WriteMessage(kind, payload)
}

func (g gorilla) receive() (bool, []byte, error) {
	kind, payload, err := g.conn.ReadMessage()
	return kind == websocket.TextMessage, payload, err
}

func (g gorilla) close() error {
	reason := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	if err := g.conn.WriteMessage(websocket.CloseMessage, reason); err != nil {
		return err
	}
	_, _, err := g.conn.ReadMessage()
	if !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		return errors.New("no Close with 1000 came back: " + err.Error())
	}
	return g.conn.Close()
}
