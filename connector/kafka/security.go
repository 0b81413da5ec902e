package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"regexp"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

type security struct {
	tls, sasl       bool
	mechanism       string
	user, password  string
	caFile, ca      string
	certFile, cert  string
	keyFile, key    string
	anyHost, anyone bool // do not check the broker's name; nor its certificate
	tlsConfig       *tls.Config
}

var securitySettings = []setting{
	{[]string{"properties.security.protocol"}, setProtocol},
	choice([]string{"properties.sasl.mechanism", "properties.sasl.mechanisms"}, func(o *options) *string { return &o.mechanism },
		map[string]string{"plain": "PLAIN", "scram-sha-256": "SCRAM-SHA-256", "scram-sha-512": "SCRAM-SHA-512"}),
	text([]string{"properties.sasl.username"}, func(o *options) *string { return &o.user }),
	text([]string{"properties.sasl.password"}, func(o *options) *string { return &o.password }),
	{[]string{"properties.sasl.jaas.config"}, setJAAS},
	text([]string{"properties.ssl.ca.location"}, func(o *options) *string { return &o.caFile }),
	text([]string{"properties.ssl.ca.pem", "properties.ssl.truststore.certificates"}, func(o *options) *string { return &o.ca }),
	text([]string{"properties.ssl.certificate.location"}, func(o *options) *string { return &o.certFile }),
	text([]string{"properties.ssl.certificate.pem", "properties.ssl.keystore.certificate.chain"}, func(o *options) *string { return &o.cert }),
	text([]string{"properties.ssl.key.location"}, func(o *options) *string { return &o.keyFile }),
	text([]string{"properties.ssl.key.pem", "properties.ssl.keystore.key"}, func(o *options) *string { return &o.key }),
	choice([]string{"properties.ssl.endpoint.identification.algorithm"}, func(o *options) *bool { return &o.anyHost },
		map[string]bool{"https": false, "none": true, "": true}),
	choice([]string{"properties.enable.ssl.certificate.verification"}, func(o *options) *bool { return &o.anyone },
		map[string]bool{"true": false, "false": true}),
}

func setProtocol(o *options, v string) error {
	switch strings.ToUpper(v) {
	case "PLAINTEXT":
	case "SSL":
		o.tls = true
	case "SASL_PLAINTEXT":
		o.sasl = true
	case "SASL_SSL":
		o.tls, o.sasl = true, true
	default:
		return invalid(`option properties.security.protocol: "%s" is none of 'PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'`, v)
	}
	return nil
}

var jaasUser, jaasPassword = regexp.MustCompile(`\busername\s*=\s*"([^"]*)"`), regexp.MustCompile(`\bpassword\s*=\s*"([^"]*)"`)

func setJAAS(o *options, v string) error {
	u, p := jaasUser.FindStringSubmatch(v), jaasPassword.FindStringSubmatch(v)
	if u == nil || p == nil {
		// The text holds a password: it is not for a message.
		return invalid(`option properties.sasl.jaas.config: no username="…" and password="…" in it`)
	}
	o.user, o.password = u[1], p[1]
	return nil
}

func pem(name, file, inline string) ([]byte, error) {
	if file == "" || inline != "" {
		return []byte(inline), nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, sqlerr.New(sqlerr.IOError, "option properties.ssl.%s.location: %v", name, err)
	}
	return b, nil
}

func (s *security) complete() error {
	if !s.sasl && (s.mechanism != "" || s.user != "" || s.password != "") {
		return invalid("the SASL options need properties.security.protocol 'SASL_PLAINTEXT' or 'SASL_SSL'")
	}
	if s.sasl {
		if s.mechanism == "" {
			return invalid("properties.security.protocol with SASL needs the option properties.sasl.mechanism").
				WithHint("'PLAIN', 'SCRAM-SHA-256' or 'SCRAM-SHA-512'.")
		}
		if s.user == "" {
			return invalid("properties.security.protocol with SASL needs the option properties.sasl.username")
		}
	}
	files := s.caFile + s.ca + s.certFile + s.cert + s.keyFile + s.key
	if !s.tls {
		if files != "" {
			return invalid("the TLS options need properties.security.protocol 'SSL' or 'SASL_SSL'")
		}
		return nil
	}
	ca, err := pem("ca", s.caFile, s.ca)
	if err != nil {
		return err
	}
	cert, err := pem("certificate", s.certFile, s.cert)
	if err != nil {
		return err
	}
	key, err := pem("key", s.keyFile, s.key)
	if err != nil {
		return err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(ca) > 0 {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(ca) {
			return invalid("option properties.ssl.ca.location: no certificate in PEM form in it")
		}
	}
	if len(cert)+len(key) > 0 {
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return invalid("the client certificate and its key: %v", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if s.anyone || s.anyHost {
		c.InsecureSkipVerify = true
		if !s.anyone {
			c.VerifyConnection = verifyChain(c.RootCAs)
		}
	}
	s.tlsConfig = c
	return nil
}

// verifyChain checks the certificate as the standard library does, but for the name.
func verifyChain(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(cs tls.ConnectionState) error {
		opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
		for _, c := range cs.PeerCertificates[1:] {
			opts.Intermediates.AddCert(c)
		}
		_, err := cs.PeerCertificates[0].Verify(opts)
		return err
	}
}

func (s *security) client() []kgo.Opt {
	var out []kgo.Opt
	if s.tls {
		out = append(out, kgo.DialTLSConfig(s.tlsConfig))
	}
	if !s.sasl {
		return out
	}
	switch s.mechanism {
	case "PLAIN":
		return append(out, kgo.SASL(plain.Auth{User: s.user, Pass: s.password}.AsMechanism()))
	case "SCRAM-SHA-256":
		return append(out, kgo.SASL(scram.Auth{User: s.user, Pass: s.password}.AsSha256Mechanism()))
	}
	return append(out, kgo.SASL(scram.Auth{User: s.user, Pass: s.password}.AsSha512Mechanism()))
}
