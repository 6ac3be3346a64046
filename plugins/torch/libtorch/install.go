package libtorch

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"surprisal.dev/internal/filelock"
)

// Installer installs libtorch into the cache.
type Installer struct {
	Finder Finder
	// Log receives one line of text per step.
	Log func(line string)
	// Progress is called during the download, with the sums over all packages.
	Progress func(done, total int64)

	client *http.Client
	wheels []wheel
	locate func(ctx context.Context, wheels []wheel) (urls []string, err error)
	free   func(dir string) (int64, error) // bytes
	tries  int
	pause  time.Duration // before the second attempt; doubles
	// silence is the maximum time during which a server may send nothing.
	silence time.Duration
}

// NewInstaller returns an installer for the pinned wheels, which looks for them where pip would.
func NewInstaller(f Finder, log func(line string), progress func(done, total int64)) *Installer {
	i := &Installer{
		Finder: f, Log: log, Progress: progress,
		client: &http.Client{Transport: transport()}, wheels: wheels, free: freeSpace, tries: 5, pause: time.Second, silence: time.Minute,
	}
	i.locate = i.find
	return i
}

// transport also reads file URLs: pip returns them if it is configured to look for packages in a directory.
func transport() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.RegisterProtocol("file", http.NewFileTransport(http.Dir("/")))
	return t
}

// Install installs libtorch unless it is installed. The next call resumes an interrupted download. It takes a lock, so
// that of two callers one waits and then finds everything done.
func (i *Installer) Install(ctx context.Context) error {
	if platform := runtime.GOOS + "/" + runtime.GOARCH; platform != "linux/amd64" {
		return fmt.Errorf("no wheel of libtorch is pinned for %s; pip install torch==%s, or set LIBTORCH to a directory that has it", platform, Version)
	}
	target := filepath.Dir(i.Finder.installed())
	if err := os.MkdirAll(i.Finder.Cache, 0o755); err != nil {
		return err
	}
	unlock, err := lock(ctx, target+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	if check(i.Finder.installed()) == nil {
		return nil
	}
	downloads := target + ".download"
	if err := os.MkdirAll(downloads, 0o755); err != nil {
		return err
	}
	paths, err := i.downloadAll(ctx, downloads)
	if err != nil {
		return err
	}
	part := target + ".part"
	if err := i.unpackAll(ctx, paths, part); err != nil {
		return err
	}
	// The existing content did not pass the check.
	if err := os.RemoveAll(target); err != nil {
		return err
	}
	if err := os.Rename(part, target); err != nil {
		return err
	}
	if err := os.RemoveAll(downloads); err != nil {
		return err
	}
	return check(i.Finder.installed())
}

// downloadAll downloads the wheels, or what is missing of them, and returns their files.
func (i *Installer) downloadAll(ctx context.Context, dir string) (paths []string, err error) {
	paths = make([]string, len(i.wheels))
	var total, have, unpacked int64
	for n, w := range i.wheels {
		paths[n] = filepath.Join(dir, w.sha256+".whl")
		if info, err := os.Stat(paths[n]); err == nil {
			have += info.Size()
		}
		total += w.size
		unpacked += w.unpacked
	}
	if err := i.checkSpace(total-have, unpacked); err != nil {
		return nil, err
	}
	if have >= total && i.whole(paths) {
		return paths, nil
	}
	urls, err := i.locate(ctx, i.wheels)
	if err != nil {
		return nil, err
	}
	i.Log(fmt.Sprintf("downloading libtorch %s (%s; %s already downloaded)", Version, size(total), size(have)))
	var before int64
	for n, w := range i.wheels {
		if err := i.download(ctx, w, urls[n], paths[n], func(done int64) { i.Progress(before+done, total) }); err != nil {
			return nil, i.explain(err)
		}
		before += w.size
	}
	return paths, nil
}

// unpackAll writes the parts of the wheels that libtorch needs to a new directory.
func (i *Installer) unpackAll(ctx context.Context, paths []string, dir string) error {
	var unpacked int64
	for _, w := range i.wheels {
		unpacked += w.unpacked
	}
	i.Log(fmt.Sprintf("unpacking libtorch (%s)", size(unpacked)))
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	for n, w := range i.wheels {
		if err := unpack(ctx, w, paths[n], dir); err != nil {
			return i.explain(err)
		}
	}
	return nil
}

// whole reports whether the files are the complete wheels, so that no server needs to be asked.
func (i *Installer) whole(paths []string) bool {
	for n, w := range i.wheels {
		file, err := os.Open(paths[n])
		if err != nil {
			return false
		}
		hash := sha256.New()
		_, err = io.Copy(hash, file)
		if err = errors.Join(err, file.Close()); err != nil || fmt.Sprintf("%x", hash.Sum(nil)) != w.sha256 {
			return false
		}
	}
	return true
}

func size(bytes int64) string { return humanize.Bytes(uint64(max(bytes, 0))) }

// checkSpace fails if the cache's file system has too little space for the wheels and their unpacked content.
func (i *Installer) checkSpace(download, unpacked int64) error {
	free, err := i.free(i.Finder.Cache)
	if err != nil {
		return fmt.Errorf("free space under %s: %w", i.Finder.Cache, err)
	}
	if need := max(download, 0) + unpacked; free < need {
		return fmt.Errorf("installing libtorch needs %s under %s, but only %s are free; free some space, or set XDG_CACHE_HOME to a directory with more",
			size(need), i.Finder.Cache, size(free))
	}
	return nil
}

// explain adds the remedy to an error about a full disk.
func (i *Installer) explain(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w; free some space under %s, or set XDG_CACHE_HOME to a directory with more", err, i.Finder.Cache)
	}
	return err
}

func freeSpace(dir string) (int64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return 0, err
	}
	return int64(stat.Bavail * uint64(stat.Bsize)), nil
}

// lock acquires the lock of a file and returns the function that releases it.
func lock(ctx context.Context, path string) (func(), error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := filelock.Wait(ctx, file, filelock.Exclusive); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() { _ = file.Close() }, nil
}

// askPip returns the URLs of wheels from pip, which uses the user's own configuration of indexes, proxies and
// directories.
func (i *Installer) askPip(ctx context.Context, wheels []wheel) ([]string, error) {
	scratch, err := os.MkdirTemp(i.Finder.Cache, "libtorch-pip-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	report := filepath.Join(scratch, "report.json")
	args := []string{
		"-m", "pip", "install", "--dry-run", "--quiet", "--disable-pip-version-check", "--ignore-installed", "--no-deps", "--report", report,
		// pip accepts a foreign platform only together with a target, to which a dry run writes nothing.
		"--target", filepath.Join(scratch, "target"), "--only-binary=:all:",
		"--implementation", "cp", "--python-version", interpreter, "--abi", "cp" + strings.ReplaceAll(interpreter, ".", ""), "--abi", "none",
		"--platform", "manylinux_2_28_x86_64", "--platform", "manylinux_2_25_x86_64", "--platform", "manylinux2014_x86_64",
	}
	for _, w := range wheels {
		args = append(args, w.requirement())
	}
	i.Log("asking pip where torch is")
	if out, err := exec.CommandContext(ctx, i.Finder.Python, args...).CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%s -m pip: %w\n%s\nthis needs pip 22.2 or later and an index that has torch %s (pip config list shows pip's indexes)",
			i.Finder.Python, err, strings.TrimSpace(string(out)), Version)
	}
	text, err := os.ReadFile(report)
	if err != nil {
		return nil, err
	}
	return parseReport(text, wheels)
}

// parseReport reads the URLs of wheels from pip's installation report, version 1.
func parseReport(text []byte, wheels []wheel) ([]string, error) {
	var report struct {
		Install []struct {
			Metadata struct {
				Name string `json:"name"`
			} `json:"metadata"`
			Download struct {
				URL     string `json:"url"`
				Archive struct {
					Hashes map[string]string `json:"hashes"`
				} `json:"archive_info"`
			} `json:"download_info"`
		} `json:"install"`
	}
	if err := json.Unmarshal(text, &report); err != nil {
		return nil, fmt.Errorf("pip's report: %w", err)
	}
	urls := make([]string, len(wheels))
	for n, w := range wheels {
		for _, found := range report.Install {
			// Names differ only in case and in "-", "_" and ".".
			if !strings.EqualFold(strings.NewReplacer("_", "-", ".", "-").Replace(found.Metadata.Name), w.name) {
				continue
			}
			if sum := found.Download.Archive.Hashes["sha256"]; sum != "" && sum != w.sha256 {
				return nil, fmt.Errorf("pip finds %s at %s: %w: its sha256 is %s, not %s; workaround: pip install torch==%s",
					w.requirement(), found.Download.URL, errWrongHash, sum, w.sha256, Version)
			}
			urls[n] = found.Download.URL
		}
		if urls[n] == "" {
			return nil, fmt.Errorf("pip's report has no %s", w.requirement())
		}
	}
	return urls, nil
}

// unpack writes the part of a wheel that libtorch needs.
func unpack(ctx context.Context, w wheel, path, dir string) error {
	archive, err := zip.OpenReader(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer archive.Close()
	for _, member := range archive.File {
		if !w.keeps(member.Name) {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !filepath.IsLocal(member.Name) {
			return fmt.Errorf("%s: %q is a path outside the archive", path, member.Name)
		}
		if err := unpackFile(member, filepath.Join(dir, member.Name)); err != nil {
			return fmt.Errorf("unpack %s of %s: %w", member.Name, w.requirement(), err)
		}
	}
	return nil
}

func unpackFile(member *zip.File, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	in, err := member.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
