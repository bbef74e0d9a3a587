// Reads proofs as text (c2sp.org/tlog-proof) and verifies them with the Go project's own code.
//
// Standard input is one JSON object: a verifier key and cases.  Standard output is one JSON list with
// a string for each case: empty if the proof holds, else why it does not.
package main

import (
	"encoding/json"
	"errors"
	"log"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type claim struct {
	Proof []byte // a tlog-proof
	Leaf  []byte // the data of the leaf
}

func check(c claim, verifier note.Verifier) error {
	head, signed, found := strings.Cut(string(c.Proof), "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return errors.New("not a tlog-proof")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		return err
	}
	var path tlog.RecordProof
	for _, line := range lines[2:] {
		h, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		path = append(path, h)
	}
	opened, err := note.Open([]byte(signed), note.VerifierList(verifier))
	if err != nil {
		return err
	}
	text := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(text[1], 10, 64)
	if err != nil {
		return err
	}
	root, err := tlog.ParseHash(text[2])
	if err != nil {
		return err
	}
	return tlog.CheckRecord(path, size, root, index, tlog.RecordHash(c.Leaf))
}

func main() {
	var input struct {
		VKey  string
		Cases []claim
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
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		log.Fatal(err)
	}
}
