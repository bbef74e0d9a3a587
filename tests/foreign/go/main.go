// Verifies checkpoints, inclusion proofs and consistency proofs with the Go project's own code.
//
// Standard input is one JSON object: a verifier key, cases, and exports.  Standard output is one JSON list with
// a string for each case, and then for each proof of an export: empty if everything in it holds, else what does
// not.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// cosignatureVerifier is a note.Verifier of c2sp.org/tlog-cosignature, which x/mod has none of.
type cosignatureVerifier struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func newCosignatureVerifier(vkey string) (note.Verifier, error) {
	name, rest, _ := strings.Cut(vkey, "+")
	written, encoded, _ := strings.Cut(rest, "+")
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) != 1+ed25519.PublicKeySize || key[0] != 4 {
		return nil, errors.New("not a cosignature/v1 verifier key")
	}
	digest := sha256.Sum256(append([]byte(name+"\n"), key...))
	hash := binary.BigEndian.Uint32(digest[:])
	if fmt.Sprintf("%08x", hash) != written {
		return nil, errors.New("the key's id is another")
	}
	return &cosignatureVerifier{name, hash, ed25519.PublicKey(key[1:])}, nil
}

func (v *cosignatureVerifier) Name() string    { return v.name }
func (v *cosignatureVerifier) KeyHash() uint32 { return v.hash }

func (v *cosignatureVerifier) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	var signed bytes.Buffer
	fmt.Fprintf(&signed, "cosignature/v1\ntime %d\n", binary.BigEndian.Uint64(signature))
	signed.Write(text)
	return ed25519.Verify(v.key, signed.Bytes(), signature[8:])
}

// checkCosigned verifies that a note bears the log's signature and a cosignature of each witness.
func checkCosigned(signed []byte, logVerifier note.Verifier, vkeys []string) error {
	verifiers := []note.Verifier{logVerifier}
	for _, vkey := range vkeys {
		verifier, err := newCosignatureVerifier(vkey)
		if err != nil {
			return err
		}
		verifiers = append(verifiers, verifier)
	}
	opened, err := note.Open(signed, note.VerifierList(verifiers...))
	if err != nil {
		return err
	}
	if len(opened.Sigs) != len(verifiers) {
		return fmt.Errorf("%d signatures verify of %d", len(opened.Sigs), len(verifiers))
	}
	return nil
}

type claim struct {
	Witnesses  []string // verifier keys of those whose cosignature the checkpoint bears; then nothing else counts
	Checkpoint []byte   // a signed note
	Leaf       []byte   // the data of a leaf
	Index      int64    // its place
	Path       [][]byte // its inclusion path under the checkpoint
	Old        []byte   // an earlier checkpoint
	Growth     [][]byte // the consistency path between the two
}

func hash(raw []byte) (result tlog.Hash, err error) {
	if len(raw) != tlog.HashSize {
		return result, errors.New("a hash has 32 bytes")
	}
	copy(result[:], raw)
	return result, nil
}

func hashes(raw [][]byte) ([]tlog.Hash, error) {
	var result []tlog.Hash
	for _, one := range raw {
		h, err := hash(one)
		if err != nil {
			return nil, err
		}
		result = append(result, h)
	}
	return result, nil
}

// open verifies a checkpoint.  tlog.ParseTree knows the Go checksum database's origin alone.
func open(signed []byte, verifier note.Verifier) (size int64, root tlog.Hash, err error) {
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return 0, root, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return 0, root, errors.New("not a checkpoint of this log")
	}
	if size, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return 0, root, err
	}
	root, err = tlog.ParseHash(lines[2])
	return size, root, err
}

func check(c claim, verifier note.Verifier) error {
	if c.Witnesses != nil {
		return checkCosigned(c.Checkpoint, verifier, c.Witnesses)
	}
	size, root, err := open(c.Checkpoint, verifier)
	if err != nil {
		return err
	}
	path, err := hashes(c.Path)
	if err != nil {
		return err
	}
	if err = tlog.CheckRecord(path, size, root, c.Index, tlog.RecordHash(c.Leaf)); err != nil {
		return err
	}
	oldSize, oldRoot, err := open(c.Old, verifier)
	if err != nil {
		return err
	}
	growth, err := hashes(c.Growth)
	if err != nil {
		return err
	}
	return tlog.CheckTree(growth, size, root, oldSize, oldRoot)
}

func main() {
	var input struct {
		VKey    string
		Cases   []claim
		Exports []export
	}
	if err := json.NewDecoder(os.Stdin).Decode(&input); err != nil {
		log.Fatal(err)
	}
	verifier, err := note.NewVerifier(input.VKey)
	if err != nil {
		log.Fatal(err)
	}
	answers := make([]string, len(input.Cases))
	for i, one := range input.Cases {
		if err := check(one, verifier); err != nil {
			answers[i] = err.Error()
		}
	}
	for _, one := range input.Exports {
		found, err := checkExport(one, verifier)
		if err != nil {
			log.Fatal(err)
		}
		answers = append(answers, found...)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		log.Fatal(err)
	}
}
