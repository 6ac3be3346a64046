package docs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/itchyny/gojq"
)

// Variables of programs that stand in for those that only a place has.
const (
	// callsVariable names the file to which they append their calls, and commentsVariable the one with the comments of a
	// pull request.
	callsVariable    = "SURPRISAL_TEST_CALLS"
	commentsVariable = "SURPRISAL_TEST_COMMENTS"
	// pathVariable is the PATH without them.
	pathVariable = "SURPRISAL_TEST_PATH"
	// sourceVariable names the directory of this repository.
	sourceVariable = "SURPRISAL_TEST_SOURCE"
)

// call is a call of a program that changes something: a comment that it would post.
type call struct {
	Program string
	// Method and Path are those of a request.
	Method, Path string
	Body         string
}

// standIns are the programs, by name.
func standIns() map[string]func(args []string) error {
	return map[string]func([]string) error{"gh": standInGh, "curl": standInCurl, "jq": standInJq, "git": standInGit, "apt-get": standInAptGet}
}

// The test binary also serves as the programs.
func TestMain(m *testing.M) {
	program := filepath.Base(os.Args[0])
	do, ok := standIns()[program]
	if !ok {
		os.Exit(m.Run())
	}
	if err := do(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "%s %q: %v\n", program, os.Args[1:], err)
		os.Exit(1)
	}
}

// standInGh lists, changes and adds comments.
func standInGh(args []string) error {
	flags, rest := parseFlags(args, "--paginate")
	switch {
	case len(rest) == 2 && rest[0] == "api" && flags["--jq"] != "":
		comments, err := os.Open(os.Getenv(commentsVariable))
		if err != nil {
			return err
		}
		defer comments.Close()
		return query(comments, flags["--jq"])
	case len(rest) == 2 && rest[0] == "api" && flags["--method"] == "PATCH":
		return record(call{"gh", "PATCH", rest[1], flags["--field"]})
	case len(rest) == 3 && rest[0] == "pr" && rest[1] == "comment":
		return record(call{"gh", "POST", rest[2], "body=@" + flags["--body-file"]})
	}
	return errors.New("unexpected arguments")
}

// standInCurl lists, changes and adds notes of a merge request.
func standInCurl(args []string) error {
	flags, rest := parseFlags(args, "--fail", "--silent", "--show-error")
	if len(rest) != 1 || flags["--header"] == "" {
		return errors.New("unexpected arguments")
	}
	if method := flags["--request"]; method != "" {
		return record(call{"curl", method, rest[0], strings.Replace(flags["--data-urlencode"], "body@", "body=@", 1)})
	}
	comments, err := os.ReadFile(os.Getenv(commentsVariable))
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(comments)
	return err
}

// standInJq evaluates a filter on standard input.
func standInJq(args []string) error {
	_, rest := parseFlags(args, "--raw-output")
	if len(rest) != 1 {
		return errors.New("unexpected arguments")
	}
	return query(os.Stdin, rest[0])
}

// standInGit is git, except that a clone of another repository is a link to this one.
func standInGit(args []string) error {
	if args[0] == "clone" {
		return os.Symlink(os.Getenv(sourceVariable), args[len(args)-1])
	}
	if err := os.Setenv("PATH", os.Getenv(pathVariable)); err != nil {
		return err
	}
	c := exec.CommandContext(context.Background(), "git", args...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := c.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		os.Exit(exit.ExitCode())
	}
	return err
}

// standInAptGet installs nothing.
func standInAptGet(args []string) error {
	if args[0] != "update" && (args[0] != "install" || args[len(args)-1] != "jq") {
		return errors.New("unexpected arguments")
	}
	return nil
}

// parseFlags returns the values of flags, and the other arguments. switches have no value.
func parseFlags(args []string, switches ...string) (flags map[string]string, rest []string) {
	flags = map[string]string{}
	for i := 0; i < len(args); i++ {
		switch {
		case slices.Contains(switches, args[i]):
		case strings.HasPrefix(args[i], "--") && i+1 < len(args):
			flags[args[i]] = args[i+1]
			i++
		default:
			rest = append(rest, args[i])
		}
	}
	return flags, rest
}

// query prints what a jq filter makes of a JSON value, strings without quotes.
func query(from io.Reader, filter string) error {
	parsed, err := gojq.Parse(filter)
	if err != nil {
		return err
	}
	code, err := gojq.Compile(parsed, gojq.WithEnvironLoader(os.Environ))
	if err != nil {
		return err
	}
	var value any
	if err := json.NewDecoder(from).Decode(&value); err != nil {
		return err
	}
	results := code.Run(value)
	for {
		result, ok := results.Next()
		if !ok {
			return nil
		}
		if err, ok := result.(error); ok {
			return err
		}
		text, err := gojq.Marshal(result)
		if err != nil {
			return err
		}
		if s, ok := result.(string); ok {
			text = []byte(s)
		}
		fmt.Printf("%s\n", text)
	}
}

// record appends a call to the calls, with the content of the file that its body names.
func record(c call) error {
	file, ok := strings.CutPrefix(c.Body, "body=@")
	if !ok {
		return fmt.Errorf("the body is %q", c.Body)
	}
	body, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	c.Body = string(body)
	line, err := json.Marshal(c)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(os.Getenv(callsVariable), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}
