package protocol

import (
	"crypto/sha256"
	"encoding/hex"
)

// Digest returns the name of content: "sha256:" and 64 hex digits.
func Digest(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}
