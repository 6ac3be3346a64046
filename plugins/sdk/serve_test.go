package sdk

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"surprisal.dev/plugins/protocol"
)

// The test binary is every plugin of these tests: "plugin NAME". Package host tests the runner's reaction to
// misbehaving plugins.
func TestMain(m *testing.M) {
	if len(os.Args) != 3 || os.Args[1] != "plugin" {
		os.Exit(m.Run())
	}
	switch os.Args[2] {
	case "provider":
		ServeProvider(testProvider{})
	case "backend":
		ServeBackend(testBackend{})
	case "idle":
		ServeBackend(idleBackend{})
	}
}

func TestStartedByHand(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	output, err := exec.Command(program, "plugin", "provider").CombinedOutput()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != 1 {
		t.Errorf("it ended with %v, want exit status 1", err)
	}
	for _, want := range []string{"This is a provider plugin", "runner-provider-NAME", "runner plugin test"} {
		if !strings.Contains(string(output), want) {
			t.Errorf("it said %q, want %q in it", output, want)
		}
	}
}

func TestErrorKinds(t *testing.T) {
	for kind, err := range map[protocol.ErrorKind]error{
		protocol.InvalidInput: Invalid("row %d", 7),
		protocol.NeedsNetwork: NeedsNetwork("row %d", 7),
		protocol.Changed:      Changed("row %d", 7),
		protocol.OutOfMemory:  OutOfMemory("row %d", 7),
	} {
		if protocol.KindOf(err) != kind || err.Error() != "row 7" {
			t.Errorf("got %v of kind %q, want kind %q", err, protocol.KindOf(err), kind)
		}
	}
}
