package expr

import (
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

func encode(c *Batch, i int, dst []byte) ([]byte, error) {
	b := c.Bytes(0, i)
	switch format := strings.ToLower(string(c.Bytes(1, i))); format {
	case "hex":
		return hex.AppendEncode(dst, b), nil
	case "base64":
		s := base64.StdEncoding.EncodeToString(b)
		for len(s) > 76 { // MIME's lines
			dst = append(append(dst, s[:76]...), '\n')
			s = s[76:]
		}
		return append(dst, s...), nil
	case "escape":
		for _, x := range b {
			switch {
			case x == 0 || x >= 0x80:
				dst = append(dst, '\\', '0'+x>>6, '0'+x>>3&7, '0'+x&7)
			case x == '\\':
				dst = append(dst, `\\`...)
			default:
				dst = append(dst, x)
			}
		}
		return dst, nil
	default:
		return nil, sqlerr.New(sqlerr.InvalidParameter, "unrecognized encoding: \"%s\"", format)
	}
}

func decode(c *Batch, i int, dst []byte) ([]byte, error) {
	s := string(c.Bytes(0, i))
	clean := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\r\n", r) {
			return -1
		}
		return r
	}, s)
	switch format := strings.ToLower(string(c.Bytes(1, i))); format {
	case "hex":
		b, err := hex.DecodeString(clean)
		if err != nil {
			return nil, sqlerr.New(sqlerr.InvalidParameter, "invalid hexadecimal data")
		}
		return append(dst, b...), nil
	case "base64":
		b, err := base64.StdEncoding.DecodeString(clean)
		if err != nil {
			return nil, sqlerr.New(sqlerr.InvalidParameter, "invalid base64 end sequence").
				WithHint("Input data is missing padding, is truncated, or is otherwise corrupted.")
		}
		return append(dst, b...), nil
	case "escape":
		d, err := types.ParseText(types.Of(types.Bytea), s)
		return append(dst, d.S...), err
	default:
		return nil, sqlerr.New(sqlerr.InvalidParameter, "unrecognized encoding: \"%s\"", format)
	}
}
