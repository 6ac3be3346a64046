// Command store measures a store in a bucket with a latency of some milliseconds: looking up many actions, executing
// many small ones, and holding many leases. It needs the S3 server of the tests; see testdata/s3/install.sh.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	server := flag.String("server", "", "the binary of the S3 server")
	latency := flag.Duration("latency", 20*time.Millisecond, "additional latency per request")
	actions := flag.Int("actions", 100_000, "number of actions to look up")
	small := flag.Int("small", 1000, "number of small actions to execute")
	leases := flag.Int("leases", 200, "number of leases to hold")
	idle := flag.Duration("idle", 30*time.Second, "how long to hold them")
	flag.Parse()
	b := &bench{server: *server, latency: *latency}
	err := b.start()
	if err == nil {
		err = errors.Join(b.lookups(*actions), b.run(*small), b.leases(*leases, *idle))
	}
	if err := errors.Join(err, b.stop()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type bench struct {
	server  string
	latency time.Duration
	dir     string
	command *exec.Cmd
	address string // of the server itself
	proxy   *proxy
}

const bucketName = "bench"

func (b *bench) start() (err error) {
	if b.server == "" {
		return errors.New("set -server to the S3 server; testdata/s3/install.sh DIRECTORY installs one and prints its path")
	}
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "not a secret", "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	if b.dir, err = os.MkdirTemp("", "bench-store-"); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(b.dir, "server", bucketName), 0o777); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	b.address = l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	b.command = exec.Command(b.server, "--port", b.address, "--access", "tester", "--secret", "not a secret", "--quiet", "posix", filepath.Join(b.dir, "server"))
	b.command.Stderr = os.Stderr
	if err := b.command.Start(); err != nil {
		return err
	}
	for range 500 {
		if c, err := net.Dial("tcp", b.address); err == nil {
			if err := c.Close(); err != nil {
				return err
			}
			b.proxy, err = newProxy(b.address, b.latency)
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("%s does not answer at %s", b.server, b.address)
}

func (b *bench) stop() error {
	var err error
	if b.command != nil && b.command.Process != nil {
		err = b.command.Process.Kill()
		_ = b.command.Wait() // it was killed
	}
	if b.dir != "" {
		err = errors.Join(err, os.RemoveAll(b.dir))
	}
	return err
}

// location is the URL of a store in the bucket, at the server or at the proxy.
func location(address, prefix string) string {
	return "s3://" + bucketName + "/" + prefix + "?use_path_style=true&endpoint=http://" + address
}

// cpu returns the processor time of this process.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

var background = context.Background()
