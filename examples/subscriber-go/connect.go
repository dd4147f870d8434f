package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"github.com/twmb/franz-go/pkg/sr"
)

// consumerOptions says how to join the group, as the environment says.
func consumerOptions() ([]kgo.Opt, error) {
	options := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(os.Getenv("KAFKA_BOOTSTRAP"), ",")...),
		kgo.ConsumerGroup(os.Getenv("GROUP")),
		kgo.ConsumeTopics(topics()...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(10 * time.Second),
		kgo.AutoCommitMarks(), // what was handled, never what is only fetched
		kgo.BlockRebalanceOnPoll(),
		kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelWarn, nil)),
	}
	if name := os.Getenv("INSTANCE"); name != "" {
		options = append(options, kgo.InstanceID(name)) // a name of its own each: back at once after a crash
	}
	protocol := env("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
	if strings.HasSuffix(protocol, "SSL") {
		config, err := tlsConfig("KAFKA")
		if err != nil {
			return nil, err
		}
		options = append(options, kgo.DialTLSConfig(config))
	}
	if strings.HasPrefix(protocol, "SASL_") {
		mechanism, err := saslMechanism()
		if err != nil {
			return nil, err
		}
		options = append(options, kgo.SASL(mechanism))
	}
	return options, nil
}

func saslMechanism() (sasl.Mechanism, error) {
	user, password := os.Getenv("KAFKA_SASL_USERNAME"), os.Getenv("KAFKA_SASL_PASSWORD")
	switch mechanism := env("KAFKA_SASL_MECHANISM", "PLAIN"); mechanism {
	case "PLAIN":
		return plain.Auth{User: user, Pass: password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: user, Pass: password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: user, Pass: password}.AsSha512Mechanism(), nil
	default:
		return nil, fmt.Errorf("KAFKA_SASL_MECHANISM is %q; PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", mechanism)
	}
}

// registryClient connects to the registry, as the environment says.
func registryClient() (*sr.Client, error) {
	options := []sr.ClientOpt{sr.URLs(os.Getenv("REGISTRY_URL"))}
	if user := os.Getenv("REGISTRY_USER"); user != "" {
		options = append(options, sr.BasicAuth(user, os.Getenv("REGISTRY_PASSWORD")))
	}
	if token := os.Getenv("REGISTRY_TOKEN"); token != "" {
		options = append(options, sr.BearerToken(token))
	}
	config, err := tlsConfig("REGISTRY")
	if err != nil {
		return nil, err
	}
	return sr.NewClient(append(options, sr.DialTLSConfig(config))...)
}

// tlsConfig reads <prefix>_CA_FILE, <prefix>_CERTIFICATE_FILE and <prefix>_KEY_FILE, where they are set.
func tlsConfig(prefix string) (*tls.Config, error) {
	config := &tls.Config{}
	if file := os.Getenv(prefix + "_CA_FILE"); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s_CA_FILE: %s holds no certificate", prefix, file)
		}
	}
	if file := os.Getenv(prefix + "_CERTIFICATE_FILE"); file != "" {
		pair, err := tls.LoadX509KeyPair(file, env(prefix+"_KEY_FILE", file))
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
