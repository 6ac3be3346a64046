// Package s3test runs a real S3 server for tests with the tag s3. testdata/s3/install.sh installs it.
package s3test

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Variable is the environment variable with the path of the server.
const Variable = "SURPRISAL_S3_SERVER"

// Environment is the environment of clients of the server.
var Environment = map[string]string{
	"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "not a secret", "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
	"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
}

// Serve runs the server over a directory, whose subdirectories are buckets, and returns the address of the server. It
// sets the environment of clients. options are those of the server's files.
func Serve(t testing.TB, root string, options ...string) (address string) {
	t.Helper()
	binary := os.Getenv(Variable)
	if binary == "" {
		t.Fatalf("%s is not set: these tests need a real S3 server; testdata/s3/install.sh DIR installs one and prints its path", Variable)
	}
	for name, value := range Environment {
		t.Setenv(name, value)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"--port", address, "--access", Environment["AWS_ACCESS_KEY_ID"], "--secret", Environment["AWS_SECRET_ACCESS_KEY"], "--quiet", "posix"}, options...)
	server := exec.Command(binary, append(args, root)...)
	var out strings.Builder
	server.Stdout, server.Stderr = &out, &out
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	t.Cleanup(func() {
		_ = server.Process.Kill() // it may have ended
		err := <-ended
		if t.Failed() {
			t.Logf("the S3 server ended: %v\n%s", err, out.String())
		}
	})
	for {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s: %v\n%s", binary, err, out.String())
		case <-time.After(20 * time.Millisecond):
		}
		if c, err := net.Dial("tcp", address); err == nil {
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			return address
		}
	}
}
