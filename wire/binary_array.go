package wire

import (
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

func decodeArray(t types.Type, b []byte) (types.Datum, error) {
	if len(b) < 12 {
		return types.Datum{}, badBinary(t)
	}
	dims, flags, oid := int32(be.Uint32(b)), be.Uint32(b[4:]), be.Uint32(b[8:])
	elem := types.Of(t.Elem)
	switch {
	case dims < 0 || flags > 1:
		return types.Datum{}, badBinary(t)
	case oid != elem.OID():
		return types.Datum{}, sqlerr.New(sqlerr.DatatypeMismatch,
			"binary data has array element type %d instead of expected %d (%s)", oid, elem.OID(), elem)
	case dims > 1:
		return types.Datum{}, sqlerr.New(sqlerr.FeatureNotSupported, "arrays of more than one dimension are not supported")
	}
	b = b[12:]
	out := []byte{}
	if dims == 1 {
		if len(b) < 8 {
			return types.Datum{}, badBinary(t)
		}
		n, lower := int32(be.Uint32(b)), int32(be.Uint32(b[4:]))
		b = b[8:]
		if n < 0 {
			return types.Datum{}, badBinary(t)
		}
		if n > 0 && lower != 1 {
			return types.Datum{}, sqlerr.New(sqlerr.FeatureNotSupported, "arrays whose lower bound is not 1 are not supported")
		}
		for ; n > 0; n-- {
			if len(b) < 4 {
				return types.Datum{}, badBinary(t)
			}
			size := int32(be.Uint32(b))
			b = b[4:]
			if size == -1 {
				out = types.AppendElem(out, t.Elem, types.NullDatum)
				continue
			}
			if size < 0 || int(size) > len(b) {
				return types.Datum{}, badBinary(t)
			}
			d, err := DecodeBinary(elem, b[:size:size])
			if err != nil {
				return types.Datum{}, err
			}
			out, b = types.AppendElem(out, t.Elem, d), b[size:]
		}
	}
	if len(b) != 0 {
		return types.Datum{}, badBinary(t)
	}
	return types.Datum{S: out}, nil
}
