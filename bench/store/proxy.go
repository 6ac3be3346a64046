package main

import (
	"bytes"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// proxy forwards connections. It delays data to the server by the latency, so that each request takes longer by that
// much, without limiting throughput.
type proxy struct {
	address string
	latency time.Duration
	// requests counts the request lines so far.
	requests atomic.Int64
}

func newProxy(server string, latency time.Duration) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{address: l.Addr().String(), latency: latency}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(client, server)
		}
	}()
	return p, nil
}

type chunk struct {
	due  time.Time
	data []byte
}

func (p *proxy) serve(client net.Conn, address string) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	chunks := make(chan chunk, 1024)
	go func() {
		defer close(chunks)
		for {
			data := make([]byte, 64<<10)
			n, err := client.Read(data)
			if n > 0 {
				p.requests.Add(int64(bytes.Count(data[:n], []byte(" HTTP/1.1\r\n"))))
				chunks <- chunk{time.Now().Add(p.latency), data[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	go func() {
		for c := range chunks {
			time.Sleep(time.Until(c.due))
			if _, err := server.Write(c.data); err != nil {
				break
			}
		}
		_ = server.Close()
		for range chunks { // the reader must not block
		}
	}()
	_, _ = io.Copy(client, server)
}
